#!/usr/bin/env bash
# curl and bash: follow.sh URL. To come back is the program's.

# Two and a half heartbeats. Without it a dead connection is never noticed.
silence_secs=40

say() {
  local data=${3//\\/\\\\}
  data=${data//\"/\\\"}
  printf '{"name":"%s","data":"%s","id":"%s"}\n' "$1" "${data//$'\n'/\\n}" "$2"
}

last_id='' retry_millis=1000
while true; do
  headers=(-H 'Accept: text/event-stream')
  [ -z "$last_id" ] || headers+=(-H "Last-Event-ID: $last_id")
  name=message data='' has_data='' id=$last_id
  # -N, or curl holds back what comes.
  while IFS= read -r -t $silence_secs line; do
    value=${line#*:}
    value=${value# }
    case $line in
      '') # The id counts from the end of its event.
        last_id=$id
        [ -z "$has_data" ] || say "$name" "$id" "${data#$'\n'}"
        name=message data='' has_data='' ;;
      id:*) id=$value ;;
      event:*) name=$value ;;
      data:*) data+=$'\n'$value has_data=1 ;;
      retry:*) retry_millis=$value ;;
    esac
  done < <(curl -sSfN "${headers[@]}" "$1")
  printf '{"again":"the stream ended"}\n'
  sleep "$((retry_millis / 1000)).$(printf %03d $((retry_millis % 1000)))"
done
