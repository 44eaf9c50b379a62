#!/usr/bin/env bash
# Repeats the SeqMix measurement: learning curves on CoNLL-2003, three seeds, the committee with one.
#
#   experiments/seqmix.sh FOLDER     FOLDER holds CoNLL-2003's train.txt and test.txt
#   DRY=1 experiments/seqmix.sh …    only prints the commands
#
# Killed? Call it again: finished runs are kept, the unfinished one goes on. At the end the curves
# are in experiments/results/seqmix.jsonl and seqmix.png.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
data=$(cd -- "${1:?name the folder that holds train.txt and test.txt}" && pwd -P)
runs=$root/runs/seqmix
results=$root/experiments/results

go() {
    if [[ ${DRY:-} == 1 ]]; then
        printf '%q ' "$@"
        printf '\n'
    else
        "$@"
    fi
}

learn() { # learn NAME SEED [OVERRIDE ...]
    local name=$1 seed=$2
    shift 2
    go "$root/run.sh" active run "$root/experiments/conll.toml" "name=$name" \
        "data.corpus=$data/train.txt" "data.test=$data/test.txt" \
        "data.split_seed=$seed" "training.seed=$seed" "$@" --run "$runs/$name-$seed" --resume
}

for seed in ${SEEDS:-0 1 2}; do
    learn entropy-seqmix "$seed"
    learn entropy "$seed" method=supervised
    learn random "$seed" method=supervised active.policy=random
    learn least-confidence "$seed" method=supervised active.policy=least_confidence
    learn seed-whole-sequence "$seed" seqmix.pairing=whole_sequence active.rounds=0
    learn seed-label-constrained "$seed" seqmix.pairing=label_constrained active.rounds=0
done
learn committee 0 method=supervised active.policy=committee

# One line a run, as in every file of results.
if [[ ${DRY:-} != 1 ]]; then
    for curve in "$runs"/*/curve.json; do
        tr -d '\n' < "$curve"
        echo
    done > "$results/seqmix.jsonl"
fi
go "$root/run.sh" active plot "$results/seqmix.jsonl" --out "$results/seqmix.png"
