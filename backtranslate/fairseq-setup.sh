#!/usr/bin/env bash
# Install the fork of fairseq that works on Python 3.11 and newer, and ctranslate2, into a
# virtual environment. A second call finds all in place and does nothing.
#
# Not an extra of pyproject.toml, because the fork must go in with --no-deps: what it declares
# brings torchaudio, whose build for GPUs breaks `import transformers` on a CPU build of torch.
set -euo pipefail

export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf 'fairseq-setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

(($# == 1)) || die "Usage: backtranslate/fairseq-setup.sh VENV, the folder of a virtual environment."
python=$1/bin/python
[[ -x $python ]] || die "No virtual environment in '$1'; make one with: python3 -m venv '$1'"
constraints=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)/constraints.txt
[[ -e $constraints ]] || constraints=/dev/null # installed elsewhere than in a checkout

complete() {
    # Imports, rather than looks up: a torch of another version than the one that the C++ parts
    # were built for shows only here.
    "$python" -I - 2>/dev/null <<'PYTHON'
import fairseq.models.transformer
import fairseq.libbleu
import ctranslate2
import fastBPE
import sacremoses
PYTHON
}

pip_install() {
    "$python" -m pip install --quiet --no-input -c "$constraints" "$@" </dev/null ||
        die "installing failed at: pip install $*; pip's message stands above."
}

find_compiler() {
    command -v "${CXX:-g++}" >/dev/null ||
        die "fairseq is built from C++ and '${CXX:-g++}' is missing. On Debian and Ubuntu, as" \
            "root: apt-get install g++"
    # The headers are a package of their own on Debian; a venv of another Python brings its own.
    "$python" -I -c 'import pathlib, sys, sysconfig
sys.exit(not (pathlib.Path(sysconfig.get_path("include")) / "Python.h").is_file())' ||
        die "fairseq is built from C++ and Python.h is missing. On Debian and Ubuntu, as root:" \
            "apt-get install python3-dev"
}

if complete; then
    say "fairseq and ctranslate2 are in place"
    exit
fi

find_compiler
say "installing what the build needs"
pip_install torch==2.13.0 numpy cython wheel setuptools
say "building fairseq (about 5 minutes; MAX_JOBS says how many compilers run side by side)"
MAX_JOBS=${MAX_JOBS:-2} pip_install --no-build-isolation --no-deps fairseq-fixed==0.12.3.1
say "installing what fairseq needs, and ctranslate2"
pip_install hydra-core==1.3.2 omegaconf==2.3.0 regex sacrebleu bitarray tqdm cffi scikit-learn \
    packaging sacremoses fastBPE subword-nmt ctranslate2
complete || die "all is installed, but it does not import; see: $python -c 'import fairseq.libbleu'"
say "done"
