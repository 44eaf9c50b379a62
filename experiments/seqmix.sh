#!/bin/sh
# The SeqMix measurement: learning curves on CoNLL-2003, three seeds, the committee with one.
#
#     sh experiments/seqmix.sh FOLDER_OF_CONLL2003 [FOLDER_FOR_RUNS]
#
# FOLDER_OF_CONLL2003 holds train.txt and test.txt. Run again, it goes on where it stopped. At the
# end the curves are in experiments/results/seqmix.jsonl and seqmix.png.
set -eu
cd "$(dirname "$0")/.."
data=$1
runs=${2:-runs/seqmix}

learn() { # name seed overrides…
    name=$1 seed=$2
    shift 2
    python -m mixtext.cli active run experiments/conll.toml "name=$name" \
        "data.corpus=$data/train.txt" "data.test=$data/test.txt" \
        "data.split_seed=$seed" "training.seed=$seed" "$@" \
        --run "$runs/$name-$seed" --resume
    rm -rf "$runs/$name-$seed/model"
}

for seed in 0 1 2; do
    learn entropy-seqmix "$seed"
    learn entropy "$seed" method=supervised
    learn random "$seed" method=supervised active.policy=random
    learn least-confidence "$seed" method=supervised active.policy=least_confidence
    learn seed-whole-sequence "$seed" seqmix.pairing=whole_sequence active.rounds=0
    learn seed-label-constrained "$seed" seqmix.pairing=label_constrained active.rounds=0
done
learn committee 0 method=supervised active.policy=committee

for curve in "$runs"/*/curve.json; do
    python -c 'import json, sys; print(json.dumps(json.load(open(sys.argv[1]))))' "$curve"
done > experiments/results/seqmix.jsonl
python -m mixtext.cli active plot experiments/results/seqmix.jsonl --out experiments/results/seqmix.png
