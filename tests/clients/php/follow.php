<?php
// PHP without an extension: php follow.php URL. A stream is a file that has no end, and to come back is the program's.

// Two and a half heartbeats.
const SILENCE_SECS = 40;

function say(array $line): void
{
    echo json_encode($line, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES), "\n";
}

$lastId = '';
$retryMillis = 1000;
while (true) {
    $headers = "Accept: text/event-stream\r\n" . ($lastId === '' ? '' : "Last-Event-ID: $lastId\r\n");
    // With HTTP/1.1, PHP holds back the chunks of an answer until it has 8 KB.
    $options = ['protocol_version' => 1.0, 'header' => $headers, 'timeout' => SILENCE_SECS];
    $context = stream_context_create(['http' => $options]);
    $stream = @fopen($argv[1], 'r', false, $context);
    $id = $lastId;
    [$name, $data] = ['message', null];
    while ($stream && ($line = fgets($stream)) !== false && str_ends_with($line, "\n")) {
        [$field, $value] = explode(':', rtrim($line, "\n"), 2) + [1 => ''];
        $value = preg_replace('/^ /', '', $value);
        if ($line === "\n") {
            // The id counts from the end of its event.
            $lastId = $id;
            if ($data !== null) {
                say(['name' => $name, 'data' => $data, 'id' => $id]);
            }
            [$name, $data] = ['message', null];
        } elseif ($field === 'id') {
            $id = $value;
        } elseif ($field === 'event') {
            $name = $value;
        } elseif ($field === 'data') {
            $data = $data === null ? $value : "$data\n$value";
        } elseif ($field === 'retry') {
            $retryMillis = (int) $value;
        }
    }
    say(['again' => 'the stream ended']);
    usleep($retryMillis * 1000);
}
