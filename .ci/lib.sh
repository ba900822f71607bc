# shellcheck shell=bash
# Sourced by the scripts of this folder: named steps, clear failures, waiting on conditions. Knows nothing of the project.

current_step=${0##*/}

# step NAME COMMAND...: runs the command and says how long it took. A failure ends the script.
step() {
    local started=$SECONDS
    current_step=$1
    shift
    printf '\n=== %s\n' "$current_step"
    "$@"
    printf -- '--- %s: ok, %d s\n' "$current_step" "$((SECONDS - started))"
}

# background NAME COMMAND...: starts the command. `finish NAME` waits for it, prints what it has printed, and fails if it has failed.
background() {
    local name=$1
    shift
    printf '\n=== %s: started in the background\n' "$name"
    mkdir -p target/ci/background
    set -m # a process group of its own, see end_background
    (
        started=$SECONDS
        "$@"
        printf -- '--- %s: ok, %d s in the background\n' "$name" "$((SECONDS - started))"
    ) < /dev/null > "target/ci/background/$name.log" 2>&1 &
    set +m
    background_jobs[$name]=$!
}

declare -A background_jobs=()

finish() {
    local status=0
    wait "${background_jobs[$1]}" || status=$?
    unset "background_jobs[$1]"
    cat "target/ci/background/$1.log"
    return "$status"
}

# end_background: ends the process groups of the background, so that nothing outlives the script. `unshare --fork` ignores SIGTERM.
end_background() {
    local job
    [ "${#background_jobs[@]}" -gt 0 ] || return 0
    for job in "${background_jobs[@]}"; do
        kill -TERM -- "-$job" 2> /dev/null || true
    done
    sleep 1
    for job in "${background_jobs[@]}"; do
        kill -KILL -- "-$job" 2> /dev/null || true
    done
}

# report_failed_step COMMAND...: if the script ends in failure from here on, says in which step, after the command (`:` for none)
# has shown an explanation.
report_failed_step() {
    explanation=("$@")
    trap 'say_which_step_failed $?' EXIT
}

say_which_step_failed() {
    end_background
    [ "$1" != 0 ] || return 0
    "${explanation[@]}" >&2 || true
    printf '\n!!! FAILED (exit %d): %s\n' "$1" "$current_step" >&2
}

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# left_out TEXT: says what could not be done here, so that nobody overlooks it.
left_out() {
    printf '\n***\n*** LEFT OUT: %s\n***\n' "$*"
}

is_root() {
    [ "$(id -u)" = 0 ]
}

has() {
    command -v "$1" > /dev/null
}

# wait_until SECONDS WHAT COMMAND...: tries the command until it succeeds; past the time, fails naming WHAT.
wait_until() {
    local deadline=$((SECONDS + $1)) seconds=$1 what=$2
    shift 2
    until "$@" > /dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || fail "not within $seconds s: $what"
        sleep 0.2
    done
    printf '%s\n' "$what"
}
