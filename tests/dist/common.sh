# Sourced by the shell tests: a scratch folder, small data and configurations, and checks that print
# what was seen. The test is started as `NAME PLENUM LAUNCH` (the program, and tests/dist/launch).
set -euo pipefail
plenum=$1
launch=$2
by_rank=$(dirname "$launch")/by_rank
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

# end_at_once: for tests of many failures that no rank has anything left to do after. mpirun gives ranks
# a second or two to end by themselves, twice in some cases.
end_at_once() { export OMPI_MCA_odls_base_sigkill_timeout=0; }

# expect CODE WORDS COMMAND …: must end within a minute with this code and say these words; `on` counts
# as a command.
expect() {
  local code=$1 words=$2 got=0
  shift 2
  [[ $1 == on ]] && set -- "$launch" "$2" "$plenum" "${@:3}" # timeout knows programs only
  timeout 60 "$@" >out 2>&1 || got=$?
  if [[ $got -ne $code ]] || ! grep -qF -- "$words" out; then
    fail "$*: exit code $got (expected $code), said: $(tail -n 5 out) (expected: $words)"
  else
    echo "ok $code: $(grep -F -- "$words" out | head -n 1)"
  fi
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

# The same of images and texts, dropout on, with a vocabulary in the form of CLIP's file: a few words
# that the captions of shapes hold.
make_clip_config() {
  cat >merges.txt <<'TXT'
#version: 0.2
r e
re d</w>
t h
th e</w>
a t</w>
s q
TXT
  cat >"$1" <<'YAML'
run:    {name: test, dir: run, seed: 3, threads: 1, overwrite: true}
data:   {train: shapes, workers: 1, vocabulary: merges.txt}
model:
  encoder: vit_tiny
  patch: 4
  image_size: 16
  width: 32
  layers: 2
  heads: 2
  dropout: 0.1
  text: {width: 32, layers: 2, heads: 2, context: 16}
method: {name: clip, embedding: 16, temperature: 0.07}
augment: {preset: none, crop_min: 0.5}
batch:  {global: 32, micro: 8}
optim:  {name: adamw, lr: 1.0e-3, weight_decay: 0.1, clip: 1, warmup: 2 steps}
train:  {steps: 4, precision: f32, diagnostics: 2}
comm:   {bucket_bytes: 65536}
eval:   {micro: 16}
report: {samples: 20}
YAML
}

# make_resumable FILE [MAKER]: a longer run that saves at every second step and goes on where an earlier
# one ended.
make_resumable() {
  "${2:-make_config}" "$1"
  sed -i 's/overwrite: true/resume: auto/; s/steps: 4/steps: 80/' "$1"
  echo 'checkpoint: {every: 2 steps, keep: 3}' >>"$1"
}

# state FILE: the hash in the last line of what a run printed.
state() { tail -n 1 "$1" | sed -n 's/^state \([0-9a-f]\{32\}\)$/\1/p'; }

# start RANKS ARG …: plenum in the background, as process $job, saying things to out and err.
start() {
  local ranks=$1
  shift
  "$launch" "$ranks" "$plenum" "$@" >out 2>err &
  job=$!
}

# ranks_of JOB: the process of each rank.
ranks_of() {
  grep -ls "^PPid:[[:space:]]*$1\$" /proc/[0-9]*/status | sed 's|/proc/\(.*\)/status|\1|' || true
}

# A process that ended counts as gone even if nobody asked for its status yet.
runs() {
  local letter
  letter=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) || return 1
  [[ -n $letter && $letter != Z ]]
}

# steps_in RUN: lines of steps in its metrics.
steps_in() { grep -c '^{"step":' "$1/metrics.jsonl" 2>/dev/null || true; }

# await_steps RUN COUNT: until the job has added so many steps to the metrics; fails if it ends first.
await_steps() {
  local until=$(($(steps_in "$1") + $2))
  while [[ $(steps_in "$1") -lt $until ]]; do
    runs "$job" || return 1
    sleep 0.01
  done
}

# wait_for_end RANK …: of the job and of its ranks' processes, for its exit code in $code.
wait_for_end() {
  local rank
  code=0
  wait "$job" 2>/dev/null || code=$?
  for rank in "$@"; do
    while runs "$rank"; do sleep 0.01; done
  done
}

# check_folder RUN STEPS: a run that is done has each step in its metrics exactly once, in order, the
# checkpoint of the last one, and nothing that is half done.
check_folder() {
  python3 - "$1/metrics.jsonl" "$2" <<'PY' || fail "the metrics of $1"
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
steps = [line["step"] for line in lines if "event" not in line]
if steps != list(range(int(sys.argv[2]))):
    sys.exit(f"the steps in the metrics are {steps}")
if lines[-1].get("event") != "end" or lines[-1]["reason"] != "done":
    sys.exit(f"the metrics end with {lines[-1]}")
PY
  [[ -f $(printf '%s/checkpoints/step-%08d/manifest.yaml' "$1" "$2") ]] || fail "no last checkpoint in $1"
  local left
  left=$(find "$1" -name '*.tmp*')
  [[ -z $left ]] || fail "left in $1: $left"
}

# flip FILE: one bit in the middle.
flip() {
  python3 - "$1" <<'PY'
import sys
with open(sys.argv[1], "r+b") as f:
    data = f.read()
    at = len(data) // 2
    f.seek(at)
    f.write(bytes([data[at] ^ 0x10]))
PY
}
