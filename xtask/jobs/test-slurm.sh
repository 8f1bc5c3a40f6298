#!/usr/bin/env bash
# Runs slurm.sh under a real Slurm that it starts for this alone: an array of three tasks, one of which is sent back into
# the queue and one killed, the same array again, and the job of the tables. Passes where results.csv, curves.csv and
# claims.csv are those of a run in one process, byte for byte. Needs root and Debian's packages slurmctld, slurmd,
# slurm-client and munge, which it installs where they are missing. Nothing else stays behind.
#
# PROGRAM   what to run (target/release/xtask)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program=$(realpath "${PROGRAM:-$here/../../target/release/xtask}")
options=(--scale smoke --seeds 2)
passed=0

main() {
    [[ -x $program ]] || fail "no program $program: cargo build --release --package xtask"
    install_slurm
    say "reference: one process"
    "$program" reproduce "${options[@]}" --out "$work/reference" --quiet &>"$work/reference.log" || fail "the reference"
    start_slurm

    submit 1-3
    await "cells of every task" every_task_has_cells
    say "task 2 goes back into the queue, task 3 is killed"
    scontrol requeue "${array}_2"
    scancel --signal=KILL "${array}_3"
    await "the end of the jobs" over "$array,$tables"
    say "$(states "${array}"_{1..3} "$tables")"
    [[ $(state "${array}_1") == COMPLETED ]] || fail "task 1 did not run to its end"
    [[ $(state "${array}_2") == COMPLETED ]] || fail "task 2 did not go on from the queue"
    [[ $(starts 2) == 2 ]] || fail "task 2 was not started twice"
    [[ $(state "${array}_3") != COMPLETED ]] || fail "task 3 was done before it was killed"
    [[ $(state "$tables") == CANCELLED ]] || fail "the tables were not given up"
    say "$(cells sweep) of $(cells reference) cells are done"
    (($(cells sweep) < $(cells reference))) || fail "nothing is left to go on with"

    submit 0-2
    await "the end of the jobs" over "$array,$tables"
    say "$(states "${array}"_{0..2} "$tables")"
    [[ $(state "$tables") == COMPLETED ]] || fail "the tables were not written"
    for table in results.csv curves.csv claims.csv; do
        cmp "$work/reference/$table" "$work/sweep/$table" || fail "$table differs"
        say "$table is the same, byte for byte ($(wc --lines <"$work/sweep/$table") lines)"
    done
    passed=1
}

say() {
    printf '%(%T)T %s\n' -1 "$*"
}

fail() {
    say "FAILED: $*" >&2
    exit 1
}

install_slurm() {
    command -v munged slurmctld slurmd sbatch >/dev/null && return
    say "installing slurmctld, slurmd, slurm-client and munge"
    { apt-get update && apt-get install --yes --no-install-recommends slurmctld slurmd slurm-client munge; } \
        &>"$work/apt.log" || fail "Debian's packages cannot be installed"
}

start_slurm() {
    local host
    host=$(hostname --short)
    mkdir "$work"/{munge,state,spool}
    head --bytes 128 /dev/urandom >"$work/munge/key"
    chmod 600 "$work/munge/key"
    cat >"$SLURM_CONF" <<END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port 20000)
SlurmdPort=$(free_port 25000)
SlurmUser=root
AuthInfo=socket=$work/munge/socket,cred_expire=5
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=5,batch_sched_delay=1
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 RealMemory=65536
PartitionName=test Nodes=ALL Default=YES
END
    munged --foreground --force --key-file="$work/munge/key" --socket="$work/munge/socket" --pid-file="$work/munge/pid" \
        --seed-file="$work/munge/seed" --log-file="$work/munge/log" &>"$work/munged.log" &
    await "munged" test -S "$work/munge/socket"
    slurmctld -D &>"$work/slurmctld.log" &
    slurmd -D &>"$work/slurmd.log" &
    await "an idle node" node_is_idle
    say "$(sinfo --version) is up"
}

# A port from $1 on that nobody listens on.
free_port() {
    local port
    while port=$(($1 + RANDOM % 5000)) && (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
    echo "$port"
}

# Submits the array and the tables as slurm.sh says, except for what fits into this node.
submit() {
    local slurm=(sbatch --parsable --chdir="$work" --cpus-per-task=1 --time=10)
    local job=("$here/slurm.sh" "${options[@]}" --out sweep)
    array=$("${slurm[@]}" --array="$1" "${job[@]}")
    tables=$("${slurm[@]}" --array=1 --dependency="afterok:$array" --kill-on-invalid-dep=yes "${job[@]}")
    say "submitted: array $array of tasks $1, tables $tables"
}

# Waits up to two minutes for the command to be true.
await() {
    local what=$1 deadline=$((SECONDS + 120))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || fail "waited two minutes for $what"
        sleep 0.1
    done
}

node_is_idle() {
    [[ $(sinfo --noheader --format %T 2>/dev/null) == idle ]]
}

every_task_has_cells() {
    local task
    for task in 1 2 3; do
        grep --quiet --no-messages '^\[' "$work/foretaste-${array}_$task.log" || return
    done
}

over() {
    [[ -z $(squeue --noheader --jobs "$1") ]]
}

state() {
    scontrol --oneliner show job "$1" | sed --quiet 's/.* JobState=\(\S*\).*/\1/p'
}

states() {
    local job
    for job; do
        echo -n "$job $(state "$job")  "
    done
}

starts() {
    grep --count ' reproduce ' "$work/foretaste-${array}_$1.log"
}

cells() {
    find "$work/$1/cells" -name '*.json' | wc --lines
}

clean_up() {
    ((passed)) || tail --verbose --lines=30 "$work"/*.log >&2
    [[ ! -e $work/slurmctld.pid ]] || timeout 20 scancel --user=root || true
    export -n SLURM_CONF
    end TERM || end KILL || true
    rm --recursive --force "$work"
}

# Signals all that was started under this Slurm, and whether it is gone within 5 s.
end() {
    started | xargs --no-run-if-empty kill -"$1" 2>/dev/null || true
    for _ in {1..50}; do
        [[ -n $(started) ]] || return 0
        sleep 0.1
    done
    return 1
}

# The processes that have this Slurm in their environment; those of clean_up have not.
started() {
    cd /proc
    grep --files-with-matches --no-messages --null-data --line-regexp --fixed-strings "SLURM_CONF=$SLURM_CONF" \
        [0-9]*/environ | cut --delimiter=/ --fields=1
}

work=$(mktemp --directory /tmp/test-slurm.XXXXXX)
export SLURM_CONF=$work/slurm.conf PROGRAM=$program
trap clean_up EXIT
trap 'exit 130' INT TERM
main
