#!/usr/bin/env bash
# What happens to nodes: node.sh fail|hang|cont|up NODE
#   fail   kill -9 for slurmd and everything that has the node's host name, as when the power goes
#   hang   freeze all of it; cont undoes that
#   up     start slurmd again, and wait until the node takes jobs
set -euo pipefail
. "$(dirname "$0")/settings.sh"
[[ $# == 2 && $1 =~ ^(fail|hang|cont|up)$ && $2 =~ ^[a-z]+[0-9]+$ ]] || die "usage: $0 fail|hang|cont|up NODE"
((EUID == 0)) || die 'this needs root'
[[ -s /etc/slurm/slurm.conf ]] || die 'there is no Slurm here; up.sh brings one up'
node=$2
pidfile=$(node_pidfile "$node")

processes() { # of the node: they share a namespace of host names, which is remembered for when slurmd is dead
  local own space process
  own=$(readlink /proc/self/ns/uts)
  space=$(readlink "/proc/$(cat "$pidfile" 2> /dev/null)/ns/uts" || cat "$pidfile.uts" 2> /dev/null || true)
  [[ -n $space && $space != "$own" ]] || die "$node shares the host name of this machine: it cannot be told from the rest"
  echo "$space" > "$pidfile.uts"
  for process in /proc/[0-9]*; do
    [[ $(readlink "$process/ns/uts" 2> /dev/null) != "$space" ]] || echo "${process#/proc/}"
  done
}

signal() { # the list is made first: `kill $(processes)` would hide its failure
  local list
  list=$(processes)
  xargs -r kill "-$1" <<< "$list" 2> /dev/null || true # some may have ended since
}

takes_jobs() { alive "$pidfile" && sinfo -hN -n "$node" -o %T | grep -qE '^(idle|mixed|allocated)$'; }

case $1 in
  fail) signal KILL; rm -f "$pidfile" ;;
  hang) signal STOP ;;
  cont) signal CONT ;;
  up)
    alive "$pidfile" || start_node "$node" || die "slurmd of $node does not start"
    wait_until 20 "$node" takes_jobs || scontrol update NodeName="$node" State=RESUME || true
    wait_until 20 "$node" takes_jobs || die "$node does not come back: $(sinfo -hN -n "$node" -o '%T %E')"
    ;;
esac
