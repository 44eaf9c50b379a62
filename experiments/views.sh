#!/usr/bin/env bash
# What are the views worth? MixText on AG News, 10 labels per class, with no view, word dropout, one
# pivot and two pivots, by apertium; three split seeds, the same number of updates for all.
#
#   ROOT=folder experiments/views.sh       from folder/ag_news/{train,test}.csv; needs apertium
#   DRY=1 ROOT=folder experiments/views.sh only prints the commands
#
# Killed? Call it again: finished runs are kept, the unfinished one goes on.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
: "${ROOT:?set ROOT to the folder that holds ag_news/}"

go() {
    if [[ ${DRY:-} == 1 ]]; then
        printf '%q ' "$@"
        printf '\n'
    else
        "$@"
    fi
}

for pivots in spa spa,epo; do
    go "$root/run.sh" backtranslate ag_news --root "$ROOT" --out "$root/runs/views/ag_news-$pivots" \
        --backend apertium --pivots "$pivots"
done
for seed in ${SEEDS:-0 1 2}; do
    for arm in ${ARMS:-none dropout spa spa,epo}; do
        case $arm in
            none) views=(views.copies=0) ;;
            dropout) views=(views.copies=1) ;;
            *) views=("views.file=$root/runs/views/ag_news-$arm/views.jsonl") ;;
        esac
        go "$root/run.sh" train "$root/experiments/ag_news.toml" \
            "data.root=$ROOT" "data.split_seed=$seed" "training.seed=$seed" training.steps=120 \
            data.dev_per_class=50 data.pool=balanced \
            "${views[@]}" --run "$root/runs/views-worth/$arm-$seed" --resume
    done
done
go "$root/run.sh" table "$root/runs/views-worth"
