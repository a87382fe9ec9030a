#!/usr/bin/env bash
# Publishes to callout and follows a topic, with curl.
#
#   ./callout.sh publish news 'hello, world'
#   ./callout.sh follow news
#
# A topic stands in the path as it is; one with spaces or the like has to be percent-encoded.
set -euo pipefail

url=${CALLOUT_URL:-http://127.0.0.1:8080}

# The server sends something every 15 s at least (`--heartbeat`). After 40 s without a line the stream is dead.
silence_secs=40

# Publishes text and prints the answer. curl repeats what was not answered, or was answered 5xx. That is safe,
# because the event keeps its id: callout publishes an id once.
publish() {
  local topic=$1 data=$2 id reply status
  id=$(cat /proc/sys/kernel/random/uuid 2>/dev/null || uuidgen)
  local options=(--silent --show-error --max-time 10 --retry 5 --retry-all-errors)
  [ -z "${CALLOUT_PUBLISH_TOKEN:-}" ] || options+=(--header "Authorization: Bearer $CALLOUT_PUBLISH_TOKEN")
  reply=$(curl "${options[@]}" --data-raw "$data" --write-out '\n%{http_code}' "$url/topics/$topic?id=$id")
  status=${reply##*$'\n'}
  reply=${reply%$'\n'*}
  if [ "$status" != 200 ]; then
    echo "refused: $reply" >&2
    return 1
  fi
  echo "$reply"
}

# Calls `on_event NAME DATA` for each event, for ever.
follow() {
  local topic=$1 last_id='' retry_millis=3000 line status name data id
  local headers
  while :; do
    headers=(--header 'Accept: text/event-stream')
    [ -z "$last_id" ] || headers+=(--header "Last-Event-ID: $last_id")
    status='' name=message data='' id=''
    while IFS= read -r -t "$silence_secs" line; do
      case $line in
        HTTP/*) status=${line#* } ;;
        event:*) name=$(value "$line") ;;
        data:*) data+=$(value "$line")$'\n' ;;
        id:*) id=$(value "$line") ;;
        retry:*) retry_millis=$(value "$line") ;;
        '')
          # An empty line ends an event. Only now is it whole, so only now its id counts.
          [ -z "$id" ] || last_id=$id
          [ -z "$data" ] || on_event "$name" "${data%$'\n'}"
          name=message data='' id=''
          ;;
      esac
    done < <(exec curl --silent --show-error --no-buffer --include "${headers[@]}" "$url/topics/$topic")
    # curl may wait on a stream that is dead.
    kill $! 2>/dev/null || true
    # What the server refuses it will refuse again.
    if [[ $status == 4* ]]; then
      echo "refused: $line" >&2
      return 1
    fi
    sleep "$((retry_millis / 1000)).$(printf %03d $((retry_millis % 1000)))"
  done
}

# The value of a line `field: value`.
value() {
  local text=${1#*:}
  printf %s "${text# }"
}

on_event() {
  case $1 in
    # The last id is unknown or too old: some events are lost. Load afresh what they would have changed.
    reset) echo "reset: $2" ;;
    message) echo "$2" ;;
    *) echo "$1: $2" ;;
  esac
}

"$@"
