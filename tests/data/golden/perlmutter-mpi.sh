#!/bin/bash
#SBATCH --job-name=parsl.perlmutter-mpi.block-0
#SBATCH --output=RUN_DIR/submit_scripts/parsl.perlmutter-mpi.block-0.stdout
#SBATCH --error=RUN_DIR/submit_scripts/parsl.perlmutter-mpi.block-0.stderr
#SBATCH --account=YOUR_PROJECT_g
#SBATCH --qos=debug
#SBATCH --constraint=gpu
#SBATCH --time=00:30:00
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --exclusive
#SBATCH --no-requeue
#SBATCH --no-kill

module load conda
conda activate YOUR_ENV

export JOBNAME="parsl.perlmutter-mpi.block-0"

PYTHON -m parsl.executors.high_throughput.process_worker_pool --max_workers_per_node=2 -a ADDRESS -p 0 -c 1e-09 -m None --poll 10 --port=PORT --cert_dir RUN_DIR/perlmutter-mpi/certificates --logdir=RUN_DIR/perlmutter-mpi --logconf=None --block_id=0 --hb_period=15 --hb_threshold=120 --drain_period=1620 --cpu-affinity none --enable_mpi_mode --mpi-launcher=srun --available-accelerators
