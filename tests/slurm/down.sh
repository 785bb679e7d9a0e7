#!/usr/bin/env bash
# Stop the daemons that up.sh started, each by the pid in its file; a Slurm from elsewhere is left alone.
# --wipe forgets jobs and accounting, too.
set -euo pipefail
. "$(dirname "$0")/settings.sh"

[[ -d $STATE ]] || { say "nothing of $STATE is there to stop"; exit 0; }
((EUID == 0)) || die 'this needs root'
if answers && grep -qs "^StateSaveLocation=$STATE/state\$" /etc/slurm/slurm.conf; then
  scancel --user=root || true
  nothing_left() { [[ -z $(squeue -h) ]]; }
  wait_until 15 jobs nothing_left || say 'jobs are left; they end with their nodes'
fi
for file in "$STATE"/run/slurmd.*.pid; do
  stop_process "$file" slurmd
done
stop_process "$STATE/run/slurmctld.pid" slurmctld
stop_process "$STATE/run/slurmdbd.pid" slurmdbd
stop_process "$STATE/db/mariadb.pid" mariadbd
answers || stop_process /run/munge/munged.pid munged
[[ ${1:-} != --wipe ]] || rm -rf "$STATE"
