#!/usr/bin/env bash
# Runs a column of the MixText paper's Table 2: one data set, three methods, three label budgets.
#
#   experiments/paper/table.sh ag_news            needs a GPU, the hub extra (or ROOT=folder), views
#   SEEDS="0 1 2" BUDGETS="10" experiments/paper/table.sh imdb
#   DRY=1 experiments/paper/table.sh ag_news      only prints the commands
#
# Killed? Call it again: finished runs are kept, the unfinished one goes on.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
corpus=${1:-}
if [[ ! -f $root/experiments/paper/$corpus.toml ]]; then
    echo "usage: table.sh ag_news|dbpedia|yahoo_answers|imdb" >&2
    exit 2
fi

go() {
    if [[ ${DRY:-} == 1 ]]; then
        printf '%q ' "$@"
        printf '\n'
    else
        "$@"
    fi
}

for budget in ${BUDGETS:-10 200 2500}; do
    for method in ${METHODS:-supervised tmix mixtext}; do
        for seed in ${SEEDS:-0}; do
            # The paper: alpha 16 with few labels, 0.2 from 200 per class on; 8 labelled rows a
            # step without unlabelled ones, 4 with.
            alpha=16
            if ((budget >= 200)); then alpha=0.2; fi
            settings=("method=$method" "data.labels_per_class=$budget" "data.split_seed=$seed"
                "training.seed=$seed" "mixtext.alpha=$alpha" "tmix.alpha=$alpha")
            if [[ $method != mixtext ]]; then
                settings+=("training.batch=8" "training.steps=1000" "training.evaluate_every=20")
            fi
            if [[ -n ${ROOT:-} ]]; then settings+=("data.root=$ROOT"); fi
            go "$root/run.sh" train "$root/experiments/paper/$corpus.toml" "${settings[@]}" \
                --run "$root/runs/paper/$corpus-$method-$budget-$seed" --resume
        done
    done
done
go "$root/run.sh" table "$root/runs/paper"
