#!/bin/bash
#SBATCH --job-name=parsl.perlmutter-cpu.block-0
#SBATCH --output=RUN_DIR/submit_scripts/parsl.perlmutter-cpu.block-0.stdout
#SBATCH --error=RUN_DIR/submit_scripts/parsl.perlmutter-cpu.block-0.stderr
#SBATCH --account=YOUR_PROJECT
#SBATCH --qos=debug
#SBATCH --constraint=cpu
#SBATCH --time=00:30:00
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --no-requeue

module load conda
conda activate YOUR_ENV

export JOBNAME="parsl.perlmutter-cpu.block-0"

# What each node of the block runs, written beside this script.
SCRIPT_DIR=RUN_DIR/submit_scripts
if ! [ -w "$SCRIPT_DIR" ]; then
    echo "relay-parsl: $(hostname) cannot write to $SCRIPT_DIR, where the submit scripts are: the nodes must share that filesystem" >&2
    exit 1
fi
NODE_SCRIPT="$SCRIPT_DIR/node_${JOBNAME:-$$}.sh"
cat > "$NODE_SCRIPT" << 'END_OF_NODE_SCRIPT'
NODE=$(hostname)

(
PYTHON -m parsl.executors.high_throughput.process_worker_pool --max_workers_per_node=128 -a ADDRESS -p 0 -c 2 -m None --poll 10 --port=PORT --cert_dir RUN_DIR/perlmutter-cpu/certificates --logdir=RUN_DIR/perlmutter-cpu --logconf=None --block_id=0 --hb_period=15 --hb_threshold=120 --drain_period=1620 --cpu-affinity alternating --mpi-launcher=mpiexec --available-accelerators
)
CODE=$?
[ $CODE -eq 0 ] || echo "relay-parsl: the manager on $NODE ended with exit code $CODE" >&2
exit $CODE
END_OF_NODE_SCRIPT

# One of them on each node.
CODE=0
export CORES="${SLURM_CPUS_ON_NODE:-$(getconf _NPROCESSORS_ONLN)}" NODES="${SLURM_JOB_NUM_NODES:-1}"
echo "$NODES nodes of $CORES CPUs"
srun --nodes=1 --ntasks=1 --ntasks-per-node=1 --cpus-per-task="$CORES" --cpu-bind=none --kill-on-bad-exit=0 --no-kill --label /bin/bash "$NODE_SCRIPT" || CODE=$?
[ $CODE -eq 0 ] || echo "relay-parsl: a manager failed or could not be started: exit code $CODE" >&2
echo "all managers have ended"
exit $CODE
