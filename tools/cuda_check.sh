#!/usr/bin/env bash
# The built-in subjects, or your own, on a GPU: in some minutes, on a machine without a network.
#
# Usage: tools/cuda_check.sh WHEEL [--device cuda] [--seconds 450] [--workers 8] [--out cuda-check]
#        [--subject SUBJECT]...
#
# Build the wheel on a machine with a network: `pip wheel . --no-deps -w .whl`. The machine with
# the GPU needs Python, torch, numpy, hypothesis, pytest, pytest-xdist, packaging and rich.
#
# Three runs share the time. Each goes through --jobs workers and writes its records as it goes:
#   first      the numeric families, a few cases of each property in every precision, with cuDNN
#   no-cudnn   the same without cuDNN (on another device than CUDA: without oneDNN)
#   rest       all other families, a few cases of each property, as far as the time goes
# DIR/report has the page of all three. The status is 0 where everything holds that was put, and
# 1 where something does not; an error of Gatewise itself, or a bad option, is 3 or 4.
set -euo pipefail

stop() {
    echo "cuda_check.sh: $1" >&2
    exit 4
}

subjects=()
wheel="" device=cuda seconds=450 workers=8 out=cuda-check
while [ $# -gt 0 ]; do
    case "$1" in
        --device | --seconds | --workers | --out)
            [ $# -gt 1 ] || stop "$1: expected a value"
            declare "${1#--}=$2"
            shift 2
            ;;
        --subject)
            [ $# -gt 1 ] || stop "$1: expected a value"
            subjects+=("$2")
            shift 2
            ;;
        -*) stop "$1: expected --device, --seconds, --workers, --out or --subject" ;;
        *)
            [ -z "$wheel" ] || stop "$1: expected one wheel"
            wheel=$1
            shift
            ;;
    esac
done
[ -f "$wheel" ] || stop "WHEEL '$wheel': expected a file that pip wheel made"
[[ "$seconds" =~ ^[0-9]+$ ]] && [ "$seconds" -ge 20 ] \
    || stop "--seconds '$seconds': expected a whole number from 20"
[[ "$workers" =~ ^[1-9][0-9]*$ ]] || stop "--workers '$workers': expected a whole number from 1"

end=$((SECONDS + seconds))
mkdir -p "$out"
out=$(cd "$out" && pwd)
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
python3 -m pip install --quiet --no-index --no-deps --target "$site" "$wheel"

# Each worker has its share of the GPU's memory, and may have the faster kernels taken away.
cat > "$site/sitecustomize.py" << 'PYTHON'
import os

if "GATEWISE_CUDA_CHECK" in os.environ:
    import torch

    # When CUDA is first used: a process that has used it already cannot fork a sandbox.
    share = float(os.environ["GATEWISE_CUDA_CHECK"])
    torch.cuda._lazy_call(lambda: torch.cuda.set_per_process_memory_fraction(share))
    if os.environ.get("GATEWISE_KERNELS") == "plain":
        torch.backends.cudnn.enabled = torch.backends.mkldnn.enabled = False
PYTHON
export PYTHONPATH="$site" OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
# cuBLAS gives the same bits in each call only with a workspace of a fixed size.
export CUBLAS_WORKSPACE_CONFIG=:4096:8
# A sandbox is a process beside its worker.
GATEWISE_CUDA_CHECK=$(python3 -c "print(0.9 / (2 * $workers))")
export GATEWISE_CUDA_CHECK

numeric=(agreement gradients packing dropout paths placement)
precisions=(float64 float32 float16 bfloat16)
[ "${device%%:*}" != cuda ] || precisions+=(tf32)
status=0
counted='
import collections, json, os, sys

path = sys.argv[1]
lines = list(map(json.loads, open(path))) if os.path.exists(path) else []
found = collections.Counter(line["status"] for line in lines if "status" in line)
print(", ".join(f"{n} {status}" for status, n in found.most_common()) or "no records")'

# The rest of the time times $2 percent goes to the run $1; further arguments are options.
check() {
    local name=$1 left=$((end - SECONDS)) one
    local most=$((left * $2 / 100)) begin=$SECONDS
    shift 2
    if [ "$most" -lt 5 ]; then
        echo "$name: no time was left"
        return
    fi
    one=0
    python3 -W ignore -m gatewise check ${subjects[@]+"${subjects[@]}"} --device "$device" \
        --jobs "$workers" --seed 1 --time-limit "$most" --report "$out/$name" "$@" \
        > "$out/$name.log" 2>&1 || one=$?
    echo "$name: $(python3 -c "$counted" "$out/$name/records.jsonl") in $((SECONDS - begin)) s"
    [ "$one" -lt 3 ] || tail -n 3 "$out/$name.log"
    # An interrupt (2) is the end of the time.
    [ "$one" = 2 ] || [ "$one" -le "$status" ] || status=$one
}

first=("${numeric[@]/#/--family=}" "${precisions[@]/#/--precision=}")
rest=()
for family in $(python3 -c "
from gatewise import CATALOGUE
print(*dict.fromkeys(p.family for p in CATALOGUE.values()))"); do
    [[ " ${numeric[*]} " == *" $family "* ]] || rest+=("--family=$family")
done

check first 45 --profile quick "${first[@]}"
GATEWISE_KERNELS=plain check no-cudnn 45 --profile quick "${first[@]}"
check rest 95 --profile quick "${rest[@]}" "${precisions[@]/#/--precision=}"
records=("$out"/*/records.jsonl)
python3 -W ignore -m gatewise merge "${records[@]}" -o "$out/report" > "$out/report.log" 2>&1 \
    || [ $? -lt 3 ] || status=3
exit "$status"
