# Sourced by the shell tests: a scratch folder, small data and configurations, and checks that print
# what was seen. The test is started as `NAME PLENUM LAUNCH` (the program, and tests/dist/launch).
set -euo pipefail
plenum=$1
launch=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
failures=0

fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

finish() {
  echo "$failures failed"
  exit $((failures > 0))
}

# on RANKS ARG …: plenum on so many ranks.
on() {
  local ranks=$1
  shift
  "$launch" "$ranks" "$plenum" "$@"
}

make_shapes() { "$plenum" data synth shapes --out "$1" --samples "$2" --size 16 --seed 5 2>/dev/null; }

# A configuration that trains in seconds: 4 micro-batches of 8 samples.
make_config() {
  cat >"$1" <<'YAML'
run:    {name: test, dir: run, seed: 3, threads: 1, overwrite: true}
data:   {train: shapes, workers: 1}
model:  {encoder: resnet18, stem: cifar, width: 8, image_size: 16, norm: {scope: global}}
method: {name: simclr, projector: [32, 16], temperature: 0.2}
augment: simclr-cifar
batch:  {global: 32, micro: 8}
optim:  {name: lars, lr: 0.5, warmup: 2 steps}
train:  {steps: 4, precision: f32, diagnostics: 2}
comm:   {bucket_bytes: 65536}
YAML
}
