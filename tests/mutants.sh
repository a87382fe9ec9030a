#!/usr/bin/env bash
# Changes the program in many small ways, and looks whether a test notices each: `make mutants`. What survives is printed,
# and makes this fail unless tests/README.md gives the reason for it.
#
#   FILES="src/hub src/client" make mutants   only files whose path begins so
#   SHARD=0/8 make mutants                    an eighth of each file's mutants
#
# A mutant takes 5 to 40 seconds, all of them some hours.
set -euo pipefail
cd "$(dirname "$0")/.."

# A file, and the tests that it belongs to. Tests in the file itself are found by its module's name.
table="
src/hub/outlet.rs               hub::outlet stream::outlet stream::gaps
src/hub/queued.rs               hub::queued stream::memory
src/hub/chunk.rs                hub::chunk stream::coding stream::memory
src/hub/groups.rs               hub::groups stream::topics stream::events stream::outlet
src/hub/mod.rs                  hub:: stream::gaps stream::outlet stream::drain cli::library
src/hub/wire.rs                 hub::wire stream::outlet http::ending http::steady
src/client/mod.rs               client:: stream::gaps stream::outlet stream::drain stream::events
src/client/replay.rs            client::replay stream::gaps stream::replay stream::memory
src/client/permits.rs           client::permits stream::shortage
src/http/unread.rs              http::unread
src/http/response.rs            http::response http::heads http::methods
src/http/files.rs               http::files
src/http/busy.rs                http::busy stream::drain
src/http/direct/body.rs         http::direct::body http::bodies http::chunks http::framing http::steady
src/http/direct/head.rs         http::direct::head http::heads http::framing http::strict
src/http/direct/open.rs         http::direct::open http::room http::connections stream::shortage
src/http/direct/watch.rs        http::direct::watch http::ending http::connections
src/http/direct/connection.rs   http::direct::connection http::heads http::ending http::connections http::unread
src/os/clock.rs                 os::clock disk::clock
src/os/deadline.rs              os::deadline http::steady
src/os/kernel.rs                os::kernel stream::memory stream::outlet
src/os/memory.rs                os::memory stream::memory
src/os/usage.rs                 os::usage stream::memory http::health
src/os/threads.rs               os::threads cli::library http::ending
src/history/memory.rs           history::memory disk::model stream::gaps stream::replay
src/history/retract.rs          history::retract disk::model access::retract
src/history/given.rs            history::given disk::model
src/history/edges.rs            history::edges disk::model stream::replay
src/live/presence.rs            live::presence pages::chat
src/live/snapshot.rs            live::snapshot posts::streams posts::crowd
src/live/stats.rs               live::stats pages::activity disk::seeing
src/api/history.rs              api::history disk::seeing
src/access/hosts.rs             access::
src/access/origins.rs           access::
src/posts/tags.rs               posts::tags
src/posts/store/embedded/posts.rs posts::store posts::faults posts::routes posts::delete
src/posts/store/embedded/feeds.rs posts::store posts::tags posts::routes
src/cli/listen.rs               cli::
src/cli/publish.rs              cli::
src/cli/remote.rs               cli::
src/cli/output.rs               cli::
"

version=27.1.0
cargo mutants --version 2>/dev/null | grep -qx "cargo-mutants $version" ||
  cargo install --locked --version "$version" cargo-mutants

is_wanted() {
  [ -n "${FILES:-}" ] || return 0
  for begin in $FILES; do
    [[ $1 != "$begin"* ]] || return 0
  done
  return 1
}

# Every run copies the sources, and all share what is built of the dependencies.
export CARGO_TARGET_DIR=$PWD/target/mutants/build
rm -f target/mutants/survivors
mkdir -p target/mutants
while read -r file tests; do
  [ -n "$file" ] && [ -e "$file" ] || continue
  is_wanted "$file" || continue
  output=target/mutants/${file//\//-}
  mkdir -p "$output"
  echo "$file"
  # Sizes that are written as products are left out. Code 2 says that some survive, code 3 that some ran out of time, which a test notices too.
  # shellcheck disable=SC2086
  nice cargo mutants --file "$file" ${SHARD:+--shard $SHARD} --baseline skip --timeout 120 --colors never --exclude-re 'replace [*] with [+/]$' \
    --output "$output" -- --lib --test it -- $tests >"$output/log" 2>&1 || [ $? -le 3 ]
  tail -n 1 "$output/log"
  # A place in a file changes with every line above it.
  sed -E 's/:[0-9]+:[0-9]+: /: /' "$output/mutants.out/missed.txt" >>target/mutants/survivors
done <<<"$table"

unexplained=$(grep -vxFf <(sed -nE 's/^\| `(src[^`]*)` .*/\1/p' tests/README.md) target/mutants/survivors || true)
if [ -n "$unexplained" ]; then
  printf 'No test notices these, and tests/README.md does not say why:\n%s\n' "$unexplained"
  exit 1
fi
