<?php
// Publishes to callout and follows a topic, with PHP's own streams.
//
//   php callout.php publish news 'hello, world'
//   php callout.php follow news

// The server sends something every 15 s at least (`--heartbeat`). After 40 s without a byte the stream is dead.
const SILENCE_SECS = 40;

/**
 * Publishes text and gives the event's id. What was not answered, or was answered 5xx, is sent again. That is
 * safe, because the event keeps its id: callout publishes an id once.
 */
function publish(string $topic, string $data): string
{
    $url = topic_url($topic) . '?id=' . bin2hex(random_bytes(16));
    $headers = ['Content-Type: text/plain; charset=utf-8'];
    if ($token = getenv('CALLOUT_PUBLISH_TOKEN')) {
        $headers[] = "Authorization: Bearer $token";
    }
    foreach ([1, 2, 4, 8, 0] as $pauseSecs) {
        $response = request($url, ['method' => 'POST', 'header' => $headers, 'content' => $data, 'timeout' => 10]);
        $status = $response ? status($response) : 0;
        $body = $response ? stream_get_contents($response) : 'no answer';
        // An answer that was cut off is no answer.
        if ($status === 200 && $id = json_decode($body)?->id) {
            return $id;
        }
        if ($status >= 400 && $status < 500) {
            break;
        }
        sleep($pauseSecs);
    }
    throw new RuntimeException("failed to publish: $body");
}

/** Yields the events of a topic for ever, each as [id, name, data]. */
function follow(string $topic, string $lastId = ''): Generator
{
    $retryMillis = 3000;
    while (true) {
        $headers = ['Accept: text/event-stream'];
        if ($lastId !== '') {
            $headers[] = "Last-Event-ID: $lastId";
        }
        // With HTTP/1.1, PHP holds back the chunks of an answer until it has 8 KB.
        $options = ['protocol_version' => 1.0, 'header' => $headers, 'timeout' => SILENCE_SECS];
        $response = request(topic_url($topic), $options);
        $status = $response ? status($response) : 0;
        // What the server refuses it will refuse again.
        if ($status >= 400 && $status < 500) {
            throw new RuntimeException('refused: ' . stream_get_contents($response));
        }
        $event = [];
        while ($status === 200 && ($line = fgets($response)) !== false) {
            $line = rtrim($line, "\n");
            if ($line !== '') {
                [$field, $value] = explode(':', $line, 2) + [1 => ''];
                $value = preg_replace('/^ /', '', $value);
                $event[$field] = $field === 'data' && isset($event['data']) ? "$event[data]\n$value" : $value;
                continue;
            }
            // An empty line ends an event. Only now is it whole, so only now its id counts.
            $lastId = $event['id'] ?? $lastId;
            $retryMillis = $event['retry'] ?? $retryMillis;
            if (isset($event['data'])) {
                yield [$lastId, $event['event'] ?? 'message', $event['data']];
            }
            $event = [];
        }
        usleep($retryMillis * 1000);
    }
}

/** Sends a request, and gives the stream of its answer, or false if there is none. */
function request(string $url, array $options)
{
    // An error status is an answer too. The warning of a connection that fails would be printed.
    return @fopen($url, 'r', false, stream_context_create(['http' => $options + ['ignore_errors' => true]]));
}

function status($response): int
{
    return (int) explode(' ', stream_get_meta_data($response)['wrapper_data'][0])[1];
}

function topic_url(string $topic): string
{
    return (getenv('CALLOUT_URL') ?: 'http://127.0.0.1:8080') . '/topics/' . rawurlencode($topic);
}

switch ($argv[1] ?? '') {
    case 'publish':
        echo publish($argv[2], $argv[3]), "\n";
        break;
    case 'follow':
        foreach (follow($argv[2]) as [, $name, $data]) {
            if ($name === 'reset') {
                // The last id is unknown or too old: some events are lost. Load afresh what they would have changed.
                echo "reset: $data\n";
            } else {
                echo $name === 'message' ? $data : "$name: $data", "\n";
            }
        }
}
