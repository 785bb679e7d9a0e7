# Sourced by up.sh, down.sh and node.sh: the names of the test cluster, where its state lies, and what the three do alike.
#   RELAY_PARSL_SLURM   the state directory: job ids, accounting, logs, pid files   (default /var/tmp/relay-parsl-test-slurm)
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
STATE=${RELAY_PARSL_SLURM:-/var/tmp/relay-parsl-test-slurm}
CLUSTER=relaytest
GPU_NODES=(n1 n2 n3 n4)
NODES=("${GPU_NODES[@]}" c1)
DB_PORT=13307
DB_SOCKET=$STATE/db/mariadb.sock
MARK='# Written by tests/slurm/up.sh of relay-parsl'

say() { echo "slurm: $*"; }
die() { echo "slurm: $*" >&2; exit 1; }

alive() { # PIDFILE: whether its process lives; a zombie does not
  local pid
  [[ -s $1 ]] && pid=$(< "$1") && grep -qs '^State:.[^ZX]' "/proc/$pid/status"
}

wait_until() { # SECONDS WHAT COMMAND...: until the command succeeds
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" > /dev/null 2>&1; do
    ((SECONDS < end)) || return 1
    sleep 0.2
  done
}

answers() { # whether a controller, ours or another, takes commands
  command -v scontrol > /dev/null && timeout 20 scontrol ping 2> /dev/null | grep -q ' is UP'
}

node_pidfile() { # NODE: of its slurmd, by the configuration in force
  local pattern
  pattern=$(sed -n 's/^SlurmdPidFile *= *//p' /etc/slurm/slurm.conf)
  echo "${pattern//%n/$1}"
}

start_node() { # NODE: a host name of its own, where this host allows that
  if unshare --uts true 2> /dev/null; then
    setsid unshare --uts sh -c "hostname $1 && exec slurmd -N $1" < /dev/null > /dev/null 2>&1
  else
    setsid slurmd -N "$1" < /dev/null > /dev/null 2>&1
  fi
}

stop_process() { # PIDFILE NAME: TERM, after ten seconds KILL; only if the process still has this name
  local pid
  alive "$1" && pid=$(< "$1") && [[ $(< "/proc/$pid/comm") == "$2" ]] || { rm -f "$1"; return 0; }
  kill -TERM "$pid"
  ended() { ! grep -qs '^State:.[^ZX]' "/proc/$pid/status"; }
  wait_until 10 "$2" ended || kill -KILL "$pid"
  rm -f "$1"
  say "stopped $2 ($pid)"
}
