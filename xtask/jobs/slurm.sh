#!/usr/bin/env bash
# Runs `cargo xtask reproduce` as a Slurm array: one task per part of the cells, all in one results directory on a shared
# file system. Run from the root of the repository, on the login node:
#
#   cargo build --release --package xtask
#   options=(cdqn --scale quick --seeds 10 --out out/sweep)
#   array=$(sbatch --parsable xtask/jobs/slurm.sh "${options[@]}")
#   sbatch --array=1 --dependency="afterok:$array" --kill-on-invalid-dep=yes xtask/jobs/slurm.sh "${options[@]}"
#
# The second job writes the tables: an array of one task is the whole run, and all of its cells are done by then. Options
# are those of `reproduce` except --shard and --jobs, which follow from what Slurm gives, and --fresh, which would begin
# again after each restart.
#
# A task that is preempted, or whose node fails, starts again and goes on; so does one that runs out of time, up to
# MAX_RESTARTS times (20). After anything else, submit both jobs again: what is done is not run again.
#
# PROGRAM   what to run (target/release/xtask)

# To be edited, or overridden by options of sbatch; README.md says how many tasks are of use.
#SBATCH --array=1-16
#SBATCH --cpus-per-task=4
#SBATCH --mem-per-cpu=2G
#SBATCH --time=04:00:00

#SBATCH --job-name=foretaste
#SBATCH --output=foretaste-%A_%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:TERM@60
set -euo pipefail

program=${PROGRAM:-target/release/xtask}

fail() {
    echo "slurm.sh: $1" >&2
    exit 1
}

[[ -n ${SLURM_ARRAY_TASK_ID:-} ]] || fail "to be submitted by sbatch as an array; how stands at its top"
[[ -x $program ]] || fail "no program $program in $PWD: submit from the root of the repository, after cargo build --release --package xtask"

# Ids may start anywhere and leave equal gaps.
first=${SLURM_ARRAY_TASK_MIN:?} last=${SLURM_ARRAY_TASK_MAX:?} count=${SLURM_ARRAY_TASK_COUNT:?}
shard=()
if ((count > 1)); then
    step=$(((last - first) / (count - 1)))
    offset=$((SLURM_ARRAY_TASK_ID - first))
    ((last == first + step * (count - 1) && offset % step == 0)) ||
        fail "the ids of the array leave unequal gaps, so it is not known which part of the cells task $SLURM_ARRAY_TASK_ID is"
    shard=(--shard "$((offset / step + 1))/$count")
fi

# Slurm signals this shell alone. A signal ends the waiting, not the program.
trap 'kill -TERM "$(jobs -p)" 2>/dev/null || true' TERM
echo "$(date '+%F %T') $(hostname): $program reproduce $* ${shard[*]}"
"$program" reproduce "$@" "${shard[@]}" --jobs "${SLURM_CPUS_PER_TASK:-1}" &
while status=0; wait $! || status=$?; kill -0 $! 2>/dev/null; do :; done

# 130 says the program when it was interrupted, 143 what waited for it. A task that Slurm is ending does not run any more.
task=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
if ((status == 130 || status == 143)) && [[ $(squeue --noheader --jobs "$task" --format %T) == RUNNING ]]; then
    ((${SLURM_RESTART_COUNT:-0} < ${MAX_RESTARTS:-20})) ||
        fail "out of time after ${MAX_RESTARTS:-20} restarts: submit again with more tasks or a longer --time"
    echo "$(date '+%F %T') out of time: back into the queue"
    scontrol requeue "$task"
fi
exit "$status"
