#!/usr/bin/env bash
# Repeats the README's table: supervised, TMix and MixText on BBC News (3 and 10 labels per class)
# and AG News (10), three split seeds each, as they were measured: with 50 dev rows per class and a
# pool that is balanced by its labels.
#
#   experiments/measure.sh                 BBC News; our 18 runs took 79 minutes of one busy core
#   ROOT=folder experiments/measure.sh     AG News too, from folder/ag_news/{train,test}.csv
#   DRY=1 experiments/measure.sh           only prints the commands
#
# Killed? Call it again: finished runs are kept, the unfinished one goes on.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)

go() {
    if [[ ${DRY:-} == 1 ]]; then
        printf '%q ' "$@"
        printf '\n'
    else
        "$@"
    fi
}

measure() { # measure CORPUS BUDGET [OVERRIDE ...]
    local corpus=$1 budget=$2 method seed
    shift 2
    for seed in ${SEEDS:-0 1 2}; do
        for method in ${METHODS:-supervised tmix mixtext}; do
            go "$root/run.sh" train "$root/experiments/$corpus.toml" "method=$method" \
                data.dev_per_class=50 data.pool=balanced training.patience=6 \
                "data.labels_per_class=$budget" "data.split_seed=$seed" "training.seed=$seed" "$@" \
                --run "$root/runs/measure/$corpus-$budget-$method-$seed" --resume
        done
    done
}

measure bbc_news 3
measure bbc_news 10
if [[ -n ${ROOT:-} ]]; then measure ag_news 10 "data.root=$ROOT"; fi
go "$root/run.sh" table "$root/runs/measure"
