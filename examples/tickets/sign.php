<?php
// A ticket or a JWT for a user, signed by the application itself with the key of callout's configuration.
//
//   php sign.php ticket ticket.key ann 'users/ann/*'
//   php sign.php jwt app.key ann 'users/ann/*'

function mac(string $key, string $message): string
{
    return hash_hmac('sha256', $message, $key, true);
}

function text(string $data): string
{
    return rtrim(strtr(base64_encode($data), '+/', '-_'), '=');
}

function ticket(string $key, string $user, array $subscribe = [], array $publish = [], int $seconds = 600): string
{
    $issued = (int) (microtime(true) * 1e6); // microseconds
    $expires = $issued + $seconds * 1000000;
    $claims = compact('user', 'subscribe', 'publish', 'issued', 'expires');
    $id = text(substr(mac($key, 'callout key id'), 0, 3));
    $signed = "ct1.$id." . text(json_encode($claims));
    return "$signed." . text(mac($key, $signed));
}

function jwt(string $key, string $user, array $subscribe = [], array $publish = [], int $seconds = 600): string
{
    $now = microtime(true); // a fraction, so that it is known what was signed before a revocation
    $claims = [
        'sub' => $user,
        'aud' => 'callout',
        'iat' => $now,
        'exp' => $now + $seconds,
        'callout' => compact('subscribe', 'publish'),
    ];
    $signed = text(json_encode(['alg' => 'HS256', 'typ' => 'JWT'])) . '.' . text(json_encode($claims));
    return "$signed." . text(mac($key, $signed));
}

[, $kind, $file, $user] = $argv;
$key = rtrim(file_get_contents($file), "\r\n"); // a line end is no part of the key
echo $kind($key, $user, array_slice($argv, 4)), "\n";
