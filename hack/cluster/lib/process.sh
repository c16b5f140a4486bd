# shellcheck shell=bash
# Starts programs that outlive the calling shell, and ends exactly those.

# start NAME COMMAND…: detached from terminal, session and standard input. All
# other descriptors are closed: a lock is the caller's (or its caller's, as with
# `flock FILE cluster up`), not the cluster's.
start() {
  local name=$1 pid
  shift
  (
    close_inherited
    exec setsid nohup "$@" </dev/null >"$LOGS/$name.log" 2>&1
  ) &
  pid=$!
  echo "$pid $(start_time "$pid")" >"$PIDS/$name.pid"
}

close_inherited() {
  local fd
  for fd in "/proc/$BASHPID/fd"/*; do
    fd=${fd##*/}
    ((fd <= 2)) || eval "exec $fd>&-"
  done
}

# Clock ticks from boot to a process' start: with the id it names one process
# for good, so a recorded id that the kernel gave to another is recognised.
start_time() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  stat=${stat##*) }
  cut -d' ' -f20 <<<"$stat"
}

# Prints the id of a running process of ours, or fails.
running_pid() {
  local pid begun
  read -r pid begun 2>/dev/null <"$PIDS/$1.pid" || return 1
  [[ -n $begun && $(start_time "$pid") == "$begun" && $(process_state "$pid") != Z ]] && echo "$pid"
}

process_state() { awk '{sub(/.*\) /, ""); print $1}' "/proc/$1/stat" 2>/dev/null; }

is_running() { running_pid "$1" >/dev/null; }

# stop NAME [SECONDS]: asks, waits, then insists.
stop() {
  local name=$1 patience=${2:-5} pid
  if pid=$(running_pid "$name"); then
    kill "$pid" 2>/dev/null || true
    wait_until "$patience" not is_running "$name" || kill -KILL "$pid" 2>/dev/null || true
    wait_until 5 not is_running "$name" || say "process $pid ($name) does not end"
  fi
  rm -f "$PIDS/$name.pid"
}

# http_ok HOST PORT PATH
http_ok() {
  local status
  exec {channel}<>"/dev/tcp/$1/$2" || return 1
  printf 'GET %s HTTP/1.0\r\n\r\n' "$3" >&"$channel"
  read -r -t 2 _ status _ <&"$channel" || true
  exec {channel}>&-
  [[ ${status:-} == 200 ]]
}

not() { ! "$@"; }

# wait_until SECONDS COMMAND…: tries ten times a second.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.1
  done
}

# await NAME SECONDS COMMAND…: like wait_until, but a component that has died
# is reported at once, with its last words.
await() {
  local name=$1 deadline=$((SECONDS + $2))
  shift 2
  until "$@" >/dev/null 2>&1; do
    is_running "$name" || broken "$name" "ended right after it started"
    ((SECONDS < deadline)) || broken "$name" "is not ready in time"
    sleep 0.1
  done
}

broken() {
  tail -5 "$LOGS/$1.log" >&2 || true
  fail "$1 $2: its last lines are above, the rest in $LOGS/$1.log"
}
