#!/usr/bin/env bash
# One node of the testbed: a "machine" with process ids, a host name, a boot id, a /tmp and a /dev/shm of its own. It is the
# first process of its namespace, so the kernel ends all that runs on the node when it ends. testbed.py starts it.
#   node.sh NAME STATE_DIR SHARED_FOLDER...      the shared folders stay visible even where they are in the host's /tmp
set -euo pipefail
name=$1 state=$2 own_tmp=$2/nodes/$1/tmp
for shared in "${@:3}"; do
  if [[ $shared == /tmp/* ]]; then
    mkdir -p "$own_tmp${shared#/tmp}"
    mount --bind "$shared" "$own_tmp${shared#/tmp}"
  fi
done
mount --rbind "$own_tmp" /tmp
mount -t tmpfs -o size=256m tmpfs /dev/shm
mount --bind "$state/nodes/$name/boot_id" /proc/sys/kernel/random/boot_id
hostname "$name"
slurmd -f "$state/slurm.conf" -N "$name"
# Orphans of the node become our children: bash reaps them while it waits.
while :; do sleep 3600 & wait "$!"; done
