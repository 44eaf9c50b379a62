#!/usr/bin/env bash
# Repeats the README's table of the mixup survey, one family after the other.
#
#   experiments/survey.sh digits                    mixup, Manifold Mixup
#   ROOT=folder experiments/survey.sh words         wordMixup, senMixup         TREC and MR
#   ROOT=folder experiments/survey.sh transformer   Mixup-Transformer           RTE and STS-B
#   ROOT=folder experiments/survey.sh ssmix         SSMix and its rivals        SST-2 and TREC
#   DRY=1 experiments/survey.sh digits              only prints the commands
#
# Ours took 39, 59, 104 and 83 minutes, three to five of them side by side on two cores.
#
# ROOT holds the data sets as `mixtext datasets` describes them; words needs `./run.sh words` once.
# Killed? Call it again: finished runs are kept, the unfinished one goes on.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
read -r -a mixtext <<<"${MIXTEXT:-$root/run.sh}"
out=${OUT:-$root/runs/survey}
seeds=${SEEDS:-0,1,2}
vary_seed="data.split_seed+training.seed=$seeds"

sweep() { # sweep FOLDER RECIPE [ARGUMENT ...]
    local folder=$1 recipe=$2
    shift 2
    set -- "${mixtext[@]}" sweep "$root/experiments/survey/$recipe.toml" "$@" --run "$out/$folder"
    if [[ ${DRY:-} == 1 ]]; then
        printf '%q ' "$@"
        printf '\n'
    else
        "$@"
    fi
}

need_root() {
    if [[ -z ${ROOT:-} ]]; then
        echo "survey.sh $1: set ROOT to the folder that holds the data sets" >&2
        exit 2
    fi
}

case ${1:-} in
digits)
    seed="data.split_seed+training.seed=${SEEDS:-0,1,2,3,4,5,6,7,8,9}"
    noise="data.corrupt=0.0,0.2,0.5,0.8"
    sweep digits digits --vary method=supervised "$noise" "$seed"
    sweep digits-mixup digits --vary method=mixup mixup.alpha=1,8 "$noise" "$seed"
    sweep digits-manifold digits --vary method=manifold_mixup "$noise" "$seed"
    sweep digits-layers digits --vary method=manifold_mixup \
        'manifold_mixup.layers=[[0], [1], [2]]' "data.split_seed+training.seed=${SEEDS:-0,1,2}"
    sweep digits-cnn digits model.encoder=small_cnn training.epochs=60 \
        --vary method=supervised,mixup,manifold_mixup data.corrupt=0.0,0.5 \
        "data.split_seed+training.seed=${SEEDS:-0,1,2}"
    ;;
words)
    need_root words
    methods="method=supervised,word_mixup,sentence_mixup"
    sweep trec trec "data.root=$ROOT" --vary model.encoder=kim_cnn,lstm \
        model.embedding=RandomTune,RandomFix,PretrainTune,PretrainFix "$methods" "$vary_seed"
    sweep mr mr "data.root=$ROOT" --vary model.encoder=kim_cnn,lstm "$methods" "$vary_seed"
    ;;
transformer)
    need_root transformer
    for share in ${SHARES:-0.1 0.4 1.0}; do
        declare -A epochs=([0.1]=6 [0.4]=2 [1.0]=2) # less data, more passes
        for corpus in sts_b rte; do
            sweep "$corpus-$share" "$corpus" "data.root=$ROOT" "data.labelled_share=$share" \
                "training.epochs=${epochs[$share]}" --vary method=supervised,mixup_transformer "$vary_seed"
        done
    done
    ;;
ssmix)
    need_root ssmix
    two_stages() { # two_stages NAME EPOCHS_1 EPOCHS_2 [OVERRIDE ...]
        local name=$1 first=$2 second=$3
        shift 3
        sweep "$name-1" ssmix_1 "data.root=$ROOT" "$@" "training.epochs=$first" \
            --vary "$vary_seed" --keep-models
        sweep "$name-2" ssmix_2 "data.root=$ROOT" "$@" "training.epochs=$second" \
            "model.start=$out/$name-1/{training.seed}" \
            --vary method=supervised,ssmix,embed_mix,tmix "$vary_seed"
    }
    # The paper: 3 and 5 epochs. These fit into an hour of one core.
    two_stages sst2-500 3 3 data.labels_per_class=250
    two_stages sst2-2000 3 2 data.labels_per_class=1000
    two_stages trec 2 1 data.corpus=trec data.labels_per_class=0 data.dev_per_class=40 \
        model.max_length=48
    ;;
*)
    echo "usage: survey.sh digits|words|transformer|ssmix" >&2
    exit 2
    ;;
esac
