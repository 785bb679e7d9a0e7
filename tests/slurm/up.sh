#!/usr/bin/env bash
# A real Slurm on this one machine, for the tests: slurmctld, slurmdbd on a MariaDB of its own, and five slurmd that play nodes.
# n1-n4 have 128 CPUs and 4 GPUs each (copies of /dev/null), c1 has none. Accounts and QOS are enforced, as at a facility.
# It may run again at any time: what is up stays, what is missing is installed (Debian, Ubuntu) and started. Ends with 1 and the reason if it cannot.
set -euo pipefail
. "$(dirname "$0")/settings.sh"

packages() {
  local missing=() package policy=/usr/sbin/policy-rc.d
  for package in slurm-wlm slurmdbd munge mariadb-server mpich; do # mpich has the mpiexec of HydraLauncher
    dpkg-query -W -f='${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  say "apt-get install ${missing[*]}"
  # No package may start a daemon of its own: ours have their own configuration and ports.
  if [[ ! -e $policy ]]; then
    trap "rm -f $policy" EXIT
    printf '#!/bin/sh\nexit 101\n' > $policy
    chmod +x $policy
  fi
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120)
  { "${apt[@]}" update && "${apt[@]}" install --no-install-recommends "${missing[@]}"; } < /dev/null > "$STATE/apt.log" 2>&1 \
    || { tail -20 "$STATE/apt.log" >&2; die "apt-get failed; all of it is in $STATE/apt.log"; }
}

names() { # the nodes are loopback addresses: 127.0.1.1 is n1, and so on
  local number=0 node
  for node in "${NODES[@]}"; do
    number=$((number + 1))
    grep -qE "[[:space:]]$node([[:space:]]|\$)" /etc/hosts || echo "127.0.1.$number $node" >> /etc/hosts
  done
  getent hosts "$(hostname -s)" > /dev/null || echo "127.0.0.1 $(hostname -s)" >> /etc/hosts
}

munge_up() {
  speaks() { munge -n < /dev/null | unmunge; }
  [[ -s /etc/munge/munge.key ]] || head -c 1024 /dev/urandom > /etc/munge/munge.key
  chown munge:munge /etc/munge/munge.key
  chmod 400 /etc/munge/munge.key
  install -d -o munge -g munge -m 0755 /run/munge /var/lib/munge /var/log/munge
  speaks > /dev/null 2>&1 || runuser -u munge -- munged || die 'munged does not start'
  wait_until 10 munged speaks || die 'munged does not answer: see /var/log/munge/munged.log'
}

database_up() {
  local db=$STATE/db
  if ! alive "$db/mariadb.pid"; then
    chown mysql:mysql "$db"
    [[ -d $db/data/mysql ]] || mariadb-install-db --no-defaults --user=mysql --datadir="$db/data" --auth-root-authentication-method=normal \
      --skip-test-db > "$db/install.log" 2>&1 || die "the database cannot be made: see $db/install.log"
    setsid mariadbd --no-defaults --user=mysql --datadir="$db/data" --socket="$DB_SOCKET" --port=$DB_PORT --bind-address=127.0.0.1 \
      --pid-file="$db/mariadb.pid" --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900 --skip-name-resolve \
      < /dev/null > "$db/mariadb.log" 2>&1 &
    wait_until 60 mariadb mariadb-admin --no-defaults -uroot -S "$DB_SOCKET" ping || die "MariaDB does not answer: see $db/mariadb.log"
  fi
  mariadb --no-defaults -uroot -S "$DB_SOCKET" -e "CREATE DATABASE IF NOT EXISTS slurm_acct_db;
    CREATE USER IF NOT EXISTS 'slurm'@'127.0.0.1' IDENTIFIED BY 'slurm'; GRANT ALL ON slurm_acct_db.* TO 'slurm'@'127.0.0.1';"
}

configure() {
  local conf=/etc/slurm/slurm.conf
  mkdir -p /etc/slurm
  if [[ -s $conf ]] && ! grep -q "^$MARK" $conf && ! grep -q '^SlurmctldHost=.*(127\.0\.0\.1)' $conf; then
    die "$conf is of another Slurm, whose controller does not answer. It is not touched: start that one, or move the file away"
  fi
  local gpu
  for gpu in 0 1 2 3; do
    [[ -c $STATE/gpus/nvidia$gpu ]] || mknod -m 666 "$STATE/gpus/nvidia$gpu" c 1 3
  done
  slurmdbd_conf > /etc/slurm/slurmdbd.conf
  chown slurm:slurm /etc/slurm/slurmdbd.conf
  chmod 600 /etc/slurm/slurmdbd.conf
  printf '%s\n' 'AutoDetect=off' "NodeName=n[1-4] Name=gpu File=$STATE/gpus/nvidia[0-3]" > /etc/slurm/gres.conf
  : > /etc/slurm/cgroup.conf
  slurm_conf > $conf
}

slurmdbd_conf() {
  cat << END
AuthType=auth/munge
DbdHost=$(hostname -s)
DbdAddr=127.0.0.1
SlurmUser=slurm
LogFile=$STATE/log/slurmdbd.log
PidFile=$STATE/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$DB_PORT
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
END
}

slurm_conf() {
  cat << END
$MARK
ClusterName=$CLUSTER
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmUser=slurm
SlurmdUser=root
AuthType=auth/munge
# Not NoInAddrAny: srun would listen on 127.0.1.x, while what it sends on loopback comes from 127.0.0.1, where the steps then connect in vain.
CommunicationParameters=NoCtldInAddrAny
StateSaveLocation=$STATE/state
SlurmdSpoolDir=$STATE/spool/%n
SlurmctldPidFile=$STATE/run/slurmctld.pid
SlurmdPidFile=$STATE/run/slurmd.%n.pid
SlurmctldLogFile=$STATE/log/slurmctld.log
SlurmdLogFile=$STATE/log/slurmd.%n.log
# The nodes claim more CPUs than there are: nothing is bound, no cgroup is made.
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=10
MpiDefault=none
ReturnToService=2
# Jobs start at once.
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=200000,batch_sched_delay=0,bf_interval=1,sched_interval=5
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=1000
GresTypes=gpu
PriorityType=priority/multifactor
# A job over its time gets SIGTERM, and SIGKILL 5 s later. A dead node is noticed after 15 s; facilities have 300.
OverTimeLimit=0
KillWait=5
SlurmdTimeout=15
SlurmctldTimeout=30
MinJobAge=300
UnkillableStepTimeout=60
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStorageEnforce=associations,limits,qos
AccountingStorageTRES=gres/gpu
EnforcePartLimits=ALL
END
  local number=0 node has name
  for node in "${NODES[@]}"; do
    number=$((number + 1))
    has='Gres=gpu:4 Feature=gpu,a100,hbm40g'
    [[ $node == n* ]] || has='Feature=cpu'
    name=$node
    unshare --uts true 2> /dev/null || name=$(hostname -s)
    echo "NodeName=$node NodeHostname=$name NodeAddr=127.0.1.$number Port=$((6830 + number)) Sockets=1 CoresPerSocket=64 ThreadsPerCore=2" \
      "RealMemory=229992 $has State=UNKNOWN"
  done
  echo 'PartitionName=gpu_ss11 Nodes=n[1-4],c1 Default=YES MaxTime=2-00:00:00 DefaultTime=00:10:00 State=UP'
  echo 'PartitionName=tiny Nodes=n4 MaxTime=00:05:00 State=UP'
}

accounts() {
  local limits=debug,interactive,normal,overrun,preempt,premium,regular,shared qos account
  add() { # WHAT NAME OPTIONS...: what is there already is no fault
    [[ -n $(sacctmgr -nP show "$1" where name="$2" format=name 2> /dev/null) ]] || sacctmgr -iQ add "$1" "$2" "${@:3}" >> "$STATE/log/sacctmgr.log" 2>&1
  }
  [[ $(sacctmgr -nP show assoc where user=root account=catalyst cluster=$CLUSTER format=defaultqos) != regular ]] || return 0 # the last that is made
  [[ -n $(sacctmgr -nP show cluster where cluster=$CLUSTER format=cluster) ]] || sacctmgr -iQ add cluster $CLUSTER >> "$STATE/log/sacctmgr.log" 2>&1
  for qos in ${limits//,/ }; do add qos "$qos"; done
  sacctmgr -iQ modify qos debug set MaxWall=00:30:00 MaxTRESPerJob=node=8 Flags=DenyOnLimit Priority=100 >> "$STATE/log/sacctmgr.log" 2>&1 || true
  for account in m1234 m1234_g catalyst; do
    sacctmgr -iQ add account "$account" Cluster=$CLUSTER Description=test Organization=test >> "$STATE/log/sacctmgr.log" 2>&1 || true
    sacctmgr -iQ add user root Account="$account" Cluster=$CLUSTER >> "$STATE/log/sacctmgr.log" 2>&1 || true
  done
  sacctmgr -iQ modify user root set DefaultAccount=m1234_g >> "$STATE/log/sacctmgr.log" 2>&1 || true
  sacctmgr -iQ modify user where name=root set QOS=$limits DefaultQOS=regular >> "$STATE/log/sacctmgr.log" 2>&1 || true
  [[ -n $(sacctmgr -nP show assoc where user=root account=m1234_g cluster=$CLUSTER format=user) ]] \
    || die "the accounts cannot be made: see $STATE/log/sacctmgr.log"
}

slurm_up() {
  alive "$STATE/run/slurmdbd.pid" || setsid slurmdbd < /dev/null > "$STATE/log/slurmdbd.out" 2>&1 || die "slurmdbd does not start: see $STATE/log"
  wait_until 60 slurmdbd sacctmgr -n show cluster || die "slurmdbd does not answer: see $STATE/log/slurmdbd.log"
  accounts
  alive "$STATE/run/slurmctld.pid" || setsid slurmctld < /dev/null > "$STATE/log/slurmctld.out" 2>&1 || die "slurmctld does not start: see $STATE/log"
  wait_until 60 slurmctld answers || die "slurmctld does not answer: see $STATE/log/slurmctld.log"
  local node
  for node in "${NODES[@]}"; do
    alive "$(node_pidfile "$node")" || start_node "$node" || die "slurmd of $node does not start: see $STATE/log/slurmd.$node.log"
  done
  ready() { ! sinfo -hN -o %T | grep -qvE '^(idle|mixed|allocated|completing)$'; }
  wait_until 30 nodes ready || scontrol update NodeName="$(IFS=,; echo "${NODES[*]}")" State=RESUME || true
  wait_until 30 nodes ready || { sinfo -Nl; die "nodes do not become idle: see $STATE/log"; }
}

if answers && ! grep -qs "^StateSaveLocation=$STATE/state\$" /etc/slurm/slurm.conf; then
  say "a Slurm that is not of $STATE answers here; it is used as it is"
  exit 0
fi
((EUID == 0)) || die 'this needs root: it installs packages, and starts daemons under users of their own'
command -v apt-get > /dev/null || die 'this needs apt-get (Debian, Ubuntu); elsewhere, bring up a Slurm with accounts and 4 GPU nodes yourself'
mkdir -p "$STATE"
exec 9> "$STATE/lock"
flock 9
mkdir -p "$STATE"/{state,log,run,spool,db,gpus}
for node in "${NODES[@]}"; do mkdir -p "$STATE/spool/$node"; done
packages
chown slurm:slurm "$STATE"/{state,log,run}
names
munge_up 9>&-
database_up 9>&-
configure
slurm_up 9>&-
say 'up'
sinfo -hN -o '%N %T, %c CPUs, %m MB, gres %G, features %f' | sort -u
