#!/bin/bash
#SBATCH --job-name=parsl.frontier-mpi.block-0
#SBATCH --output=RUN_DIR/submit_scripts/parsl.frontier-mpi.block-0.stdout
#SBATCH --error=RUN_DIR/submit_scripts/parsl.frontier-mpi.block-0.stderr
#SBATCH --account=YOUR_PROJECT
#SBATCH --partition=batch
#SBATCH --time=00:30:00
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --exclusive
#SBATCH --no-requeue
#SBATCH --no-kill

module load cray-python rocm
source /path/to/your/environment/bin/activate

export JOBNAME="parsl.frontier-mpi.block-0"

PYTHON -m parsl.executors.high_throughput.process_worker_pool --max_workers_per_node=2 -a ADDRESS -p 0 -c 1e-09 -m None --poll 10 --port=PORT --cert_dir RUN_DIR/frontier-mpi/certificates --logdir=RUN_DIR/frontier-mpi --logconf=None --block_id=0 --hb_period=15 --hb_threshold=120 --drain_period=1620 --cpu-affinity none --enable_mpi_mode --mpi-launcher=srun --available-accelerators
