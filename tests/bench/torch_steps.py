"""What the scripts share that time training steps in PyTorch: options, devices, timing, and how others
run them in turn with something else.

A script's `prepare(args, precision)` gives a function that does one step. By default each precision is
measured once. With --turns the script waits for a word on its input before each measurement, and gives
memory of the device back after it: "step" measures steps of the first precision, "product" a matrix
product in bf16, whose rate is what a fraction of peak is told of; the end of the input ends it.
"""
import statistics
import sys
import time

import torch


def add_options(parser):
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--compile", action="store_true", help="networks through torch.compile")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10, help="of a measurement")
    parser.add_argument("--precision", default="bf16,f32", help="comma-separated")
    parser.add_argument("--turns", action="store_true", help="measure when told to")


def compiled(args, network):
    return torch.compile(network) if args.compile else network


def autocast(args, precision):
    return torch.autocast(args.device, dtype=torch.bfloat16, enabled=precision == "bf16")


def optimizer(kind, parameters, **options):
    """One fused kernel where this PyTorch has it, for this device."""
    parameters = list(parameters)
    try:
        return kind(parameters, fused=True, **options)
    except (TypeError, RuntimeError):
        return kind(parameters, foreach=False, **options)


def finish(args):
    if args.device == "cuda":
        torch.cuda.synchronize()


def rates(args, amount, work):
    """What `work`, of that amount, comes to a second: a GPU is waited for after some steps only, so that
    the next one's launches overlap with the one that runs."""
    together = 5 if args.device == "cuda" else 1
    found = []
    finish(args)
    end = time.perf_counter() + args.seconds
    while len(found) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(together):
            work()
        finish(args)
        found.append(together * amount / (time.perf_counter() - start))
    return found


def product(args):
    """TFLOP/s of a square product in bf16."""
    side = 8192 if args.device == "cuda" else 2048
    left, right = (torch.randn(side, side, device=args.device).bfloat16() for _ in range(2))
    out = torch.empty_like(left)
    torch.mm(left, right, out=out)
    return rates(args, 2e-12 * side**3, lambda: torch.mm(left, right, out=out))


def tell(what, found, unit):
    print(f"{what}: {statistics.median(found):.1f} {unit} [{min(found):.1f}, {max(found):.1f}] "
          f"over {len(found)} measurements", flush=True)


def take_turns(args, step):
    for line in sys.stdin:
        if line.strip() == "product":
            tell("product", product(args), "TFLOP/s")
        else:
            tell("step", rates(args, args.batch, step), "samples/s")
        if args.device == "cuda":
            torch.cuda.empty_cache()


def run(args, prepare):
    torch.set_num_threads(args.threads)
    device = torch.cuda.get_device_name() if args.device == "cuda" else f"{args.threads} threads"
    print(f"torch {torch.__version__}, {device}, {args.batch} samples a step", flush=True)
    for precision in args.precision.split(","):
        torch.manual_seed(1)
        step = prepare(args, precision)
        for _ in range(3 if args.device == "cuda" else 1):  # compiles, and chooses algorithms
            step()
        if args.turns:
            if args.device == "cuda":
                torch.cuda.empty_cache()
            print("ready", flush=True)
            take_turns(args, step)
            return
        tell(precision, rates(args, args.batch, step), "samples/s")
