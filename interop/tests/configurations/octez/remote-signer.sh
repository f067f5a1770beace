#!/bin/sh
set -ex

TEZ_BIN=/usr/local/bin
CLIENT_DIR="/var/tezos/client"
PORT=6732   # of all bakers

extra_args=""
if [ -f ${CLIENT_DIR}/authorized_keys ]; then
  extra_args="${extra_args} --require-authentication"
fi
# octez-signer launch http signer -p 1
CMD="$TEZ_BIN/octez-signer -d $CLIENT_DIR ${extra_args} launch http signer -a 0.0.0.0 -p $PORT -M 0x11,0x12,0x13 -W"

ln -s /var/tezos/client /home/tezos/.tezos-signer

exec $CMD >> /var/log/signer.log 2>&1
