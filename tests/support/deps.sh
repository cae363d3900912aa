#!/bin/sh
# Installs the Debian packages that are missing, and nothing when none is: those named as
# arguments, or without arguments all that building, testing and the demo need.
set -eu
packages=${*:-"gcc libc6-dev make pkg-config binutils git ca-certificates
libopenblas-dev libzmq3-dev liblmdb-dev libprotobuf-c-dev protobuf-c-compiler protobuf-compiler
libsodium-dev libjansson-dev libinih-dev libcmocka-dev libmicrohttpd-dev libsystemd-dev
libpng-dev libjpeg62-turbo-dev zlib1g-dev libseccomp-dev systemd procps jq dataset-fashion-mnist"}
missing=""
for p in $packages; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
echo "installing:$missing"
sudo=""
[ "$(id -u)" -eq 0 ] || sudo=sudo
$sudo apt-get update -qq
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing
