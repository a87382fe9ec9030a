//! Every credential in every state, what it may by several sets of rules, and every text that refuses it.

use super::jwt::jwt;
use callout::access::moment::Moment;
use callout::access::revoked::{Revoked, Taken};
use callout::access::ticket::TicketDraft;
use callout::access::{Access, Hosts, Issuer, JwtKey, JwtKeys, Origins, Rules, Trust, Wanted};
use callout::{Action, Digest, Key, Rule, TicketKeys, Topic, Who};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde_json::json;
use std::net::IpAddr;
use std::time::Duration;

const AWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const JWT_KEY: &str = "an application's key of enough bytes";
const OTHER_KEY: &str = "another application's of enough bytes";

/// Long ago, and in a long time: 2001-09-09 and 2100-01-01.
const PAST: u64 = 1_000_000_000;
const FUTURE: u64 = 4_102_444_800;

const YES: &str = "";

fn rule(who: Who, publish: &[&str], subscribe: &[&str], may: &[Action]) -> Rule {
    let mut rule = Rule::new(who);
    rule.publish = publish.iter().map(|text| text.parse().unwrap()).collect();
    rule.subscribe = subscribe.iter().map(|text| text.parse().unwrap()).collect();
    rule.may = may.to_vec();
    rule
}

fn token(name: &str) -> Who {
    Who::token(name, Digest::of(&format!("secret of {name}"))).unwrap()
}

/// Two backends, one of which was taken back.
fn backends() -> Vec<Rule> {
    vec![
        rule(token("shop"), &["*"], &["orders/*"], &[Action::Tickets]),
        rule(token("wall"), &["wall/*"], &[], &[Action::Tickets]),
    ]
}

/// The same, with something for everybody and something for each user.
fn shop() -> Vec<Rule> {
    let mut rules = backends();
    rules.push(rule(Who::Anonymous, &[], &["news/*"], &[]));
    rules.push(rule(Who::SignedIn, &["users/{user}/typing"], &["users/{user}/*"], &[]));
    rules
}

fn key(text: &str) -> Key {
    Key::new(text.as_bytes()).unwrap()
}

/// A server with these rules, keys, and some things taken back.
fn access(rules: &[Rule]) -> Access {
    let secret = JwtKeys::one(JwtKey::secret(key(JWT_KEY)));
    let issuer = Issuer::new(secret, Some("callout".into()), "callout");
    let trust = Trust {
        tickets: TicketKeys::new(vec![key("a key of tickets of enough bytes")]),
        issuers: vec![issuer.into()],
    };
    let revoked = Revoked::default();
    revoked.take_back(Taken::User("eve".into()), None).unwrap();
    let wall = Taken::Token { name: "wall".into(), secrets: vec![Digest::of("secret of wall").text()] };
    revoked.take_back(wall, None).unwrap();
    let rules = Rules::new(rules, None).unwrap();
    let access = Access::new(rules, Hosts::default(), Origins::default(), true).with_trust(trust, revoked);
    let one = access.grant(&headers("a ticket that was taken back"), None, AWAY, Wanted::default());
    let claims =
        callout::access::ticket::read_unverified(&credential("a ticket that was taken back")).unwrap();
    assert!(one.is_ok());
    access.take_back(Taken::Ticket(claims.id), None).unwrap();
    access
}

/// A ticket of a user, by the key of this text. It lasts until `expires`, in seconds.
fn ticket(user: &str, by: &str, signed_with: &str, issued: u64, expires: u64) -> String {
    let moment = |secs: u64| Moment::from_micros(secs * 1_000_000).unwrap();
    let draft = TicketDraft {
        user: user.into(),
        publish: vec!["rooms/1".parse().unwrap()],
        subscribe: vec!["rooms/*".parse().unwrap()],
        issued: moment(issued),
        expires: moment(expires),
        by: Some(by.into()),
    };
    TicketKeys::new(vec![key(signed_with)]).sign(&draft).unwrap()
}

/// A JWT of ann's, for this server and for good, but for what is said here.
fn jwt_with(key: &str, change: serde_json::Value) -> String {
    let mut claims = json!({ "sub": "ann", "aud": "callout", "callout": { "subscribe": ["rooms/*"] } });
    for (name, value) in change.as_object().unwrap() {
        match value {
            serde_json::Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    jwt(key, &claims)
}

/// What stands behind `Bearer`; empty where no credential is sent.
fn credential(who: &str) -> String {
    // Tickets may be given a minute ahead of the clock, so that one of now is younger than what was taken back.
    let now = Moment::now().after(Duration::from_secs(10)).micros() / 1_000_000;
    let ours = "a key of tickets of enough bytes";
    match who {
        "nobody" => String::new(),
        "an unknown token" => "sesame".into(),
        "the token shop" => "secret of shop".into(),
        "the token wall" => "secret of wall".into(),
        "a ticket" => ticket("ann", "shop", ours, now, now + 600),
        "a ticket of a user named by a wildcard" => ticket("*", "shop", ours, now, now + 600),
        "a ticket that has ended" => ticket("ann", "shop", ours, PAST - 60, PAST),
        "a ticket that has not begun" => ticket("ann", "shop", ours, FUTURE, FUTURE + 60),
        "a ticket of another server" => {
            ticket("ann", "shop", "the key of another server's tickets", now, now + 600)
        }
        "a ticket that was changed" => {
            ticket("ann", "shop", ours, now, now + 600).replacen("ct1.", "ct1.x", 1)
        }
        // The same each time.
        "a ticket that was taken back" => {
            ticket("ann", "shop", ours, now / 100_000 * 100_000, now / 100_000 * 100_000 + 200_000)
        }
        "a ticket of a user that was taken back" => ticket("eve", "shop", ours, now - 60, now + 600),
        "a ticket by a token that was taken back" => ticket("ann", "wall", ours, now - 60, now + 600),
        "half a ticket" => "ct1.abcd".into(),
        "a JWT" => jwt_with(JWT_KEY, json!({})),
        "a JWT without sub" => jwt_with(JWT_KEY, json!({ "sub": null })),
        "a JWT that has ended" => jwt_with(JWT_KEY, json!({ "exp": PAST })),
        "a JWT that has not begun" => jwt_with(JWT_KEY, json!({ "nbf": FUTURE })),
        "a JWT for another" => jwt_with(JWT_KEY, json!({ "aud": "mail" })),
        "a JWT for nobody" => jwt_with(JWT_KEY, json!({ "aud": null })),
        "a JWT with another key" => jwt_with(OTHER_KEY, json!({})),
        "a JWT of a user that was taken back" => jwt_with(JWT_KEY, json!({ "sub": "eve" })),
        "a JWT with another algorithm" => "eyJhbGciOiJFUzI1NiJ9.e30.AAAA".into(),
        "a JWT without a signature" => "eyJhbGciOiJub25lIn0.e30.".into(),
        _ => panic!("{who}"),
    }
}

fn headers(who: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let credential = credential(who);
    if !credential.is_empty() {
        headers.insert(AUTHORIZATION, format!("Bearer {credential}").parse().unwrap());
    }
    headers
}

/// What is answered to `publish a`, `subscribe a`, or a right: nothing, or status, reason and hint. A span of time until now
/// or from now on is left out.
fn ask(access: &Access, who: &str, what: &str) -> String {
    let wanted = match what.split_once(' ') {
        Some(("publish", topic)) => Wanted { publish: vec![Topic::new(topic).unwrap()], ..Wanted::default() },
        Some(("subscribe", asked)) => Wanted { subscribe: vec![asked.parse().unwrap()], ..Wanted::default() },
        _ => Wanted { action: Some(what.parse().unwrap()), ..Wanted::default() },
    };
    let Err(error) = access.grant(&headers(who), None, AWAY, wanted) else { return String::new() };
    let problem = error.problem();
    let reason = problem.reason.split("Z, ").next().unwrap();
    format!("{} {reason}; {}", error.status().as_u16(), problem.hint)
}

fn check(name: &str, rules: &[Rule], table: &[(&str, &[&str], &str)]) {
    let access = access(rules);
    for (who, asked, why) in table {
        for what in *asked {
            assert_eq!(ask(&access, who, what), *why, "{name}: {who}: {what}");
        }
    }
}

/// What each credential that is not valid is answered, whatever it is sent for.
#[rustfmt::skip] // a table
const NOT_VALID: [(&str, &str); 16] = [
    ("an unknown token", "401 the token is not known here; compare it with what `callout token new` printed, and whether the server was told of it (a file that was changed is read on SIGHUP)"),
    ("the token wall", "401 the token was taken back; give the program a new secret"),
    ("a ticket that has ended", "401 the ticket ended at 2001-09-09T01:46:40; ask for a new one and come back with it"),
    ("a ticket that has not begun", "401 the ticket begins at 2100-01-01T00:00:00; wait until then; if it should hold by now, compare the clocks of both machines"),
    ("a ticket of another server", "401 the ticket was signed with a key that this server does not have, or it was changed afterwards; ask this server, or another with its key, for a new ticket"),
    ("a ticket that was taken back", "401 the ticket was taken back; sign in again, and come back with a new one"),
    ("a ticket of a user that was taken back", "401 the ticket was taken back; sign in again, and come back with a new one"),
    ("a ticket by a token that was taken back", "401 the ticket was taken back; sign in again, and come back with a new one"),
    ("a JWT that has ended", "401 the JWT ended at 2001-09-09T01:46:40; ask for a new one and come back with it"),
    ("a JWT that has not begun", "401 the JWT begins at 2100-01-01T00:00:00; wait until then; if it should hold by now, compare the clocks of both machines"),
    ("a JWT for another", "401 the JWT is for the audience `mail`, and this server is `callout`; sign it with `\"aud\": \"callout\"`"),
    ("a JWT for nobody", "401 the JWT names no audience, and this server is `callout`; sign it with `\"aud\": \"callout\"`"),
    ("a JWT with another key", "401 the JWT was signed with a key that this server does not have, or it was changed afterwards; sign with the key that stands in `[[jwt]]` of callout's file"),
    ("a JWT of a user that was taken back", "401 the JWT was taken back; sign in again, and come back with a new one"),
    ("a JWT with another algorithm", "401 the JWT names the algorithm `ES256`, and the keys of this server have HS256; sign with the algorithm of a key in `[[jwt]]`, or add a key of this algorithm"),
    ("a JWT without a signature", "401 the JWT names the algorithm `none`, and the keys of this server have HS256; sign with the algorithm of a key in `[[jwt]]`, or add a key of this algorithm"),
];

#[test]
fn a_credential_that_is_not_valid_is_refused_for_whatever_it_is_sent_and_by_whatever_rules() {
    let alone = [rule(token("wall"), &[], &[], &[])];
    let everything = [rule(Who::Anonymous, &["*"], &["*"], &[]), rule(token("wall"), &["*"], &["*"], &[])];
    for (name, rules) in [
        ("shop", shop()),
        ("backends", backends()),
        ("alone", alone.into()),
        ("everything", everything.into()),
    ] {
        let access = access(&rules);
        for (who, why) in NOT_VALID {
            for what in [
                "subscribe news/1",
                "subscribe users/ann/1",
                "subscribe *",
                "subscribe $user/ann",
                "publish orders/1",
                "publish $chat",
                "history",
                "tickets",
                "retract",
            ] {
                assert_eq!(ask(&access, who, what), why, "{name}: {who}: {what}");
            }
        }
        for who in ["a ticket that was changed", "half a ticket"] {
            let said = ask(&access, who, "subscribe news/1");
            let hint = "send the text of `ticket` in the answer of `POST /tickets`, whole and unchanged";
            let is_no_ticket = said.starts_with("401 this is no ticket: ") && said.ends_with(hint);
            assert!(is_no_ticket || said.contains("was changed afterwards"), "{name}: {who}: {said}");
        }
    }
}

#[test]
#[rustfmt::skip] // a table
fn a_valid_credential_may_what_it_carries_and_what_the_rules_give() {
    const ANONYMOUS: &str = "a request without a credential in `Authorization`, `?ticket=` or the cookie `callout_ticket`";
    const HINT: &str = "send `Authorization: Bearer …` with a token, a ticket or a JWT that may; where no header can be set, as with EventSource, a ticket in `?ticket=…`";
    let nobody = |asked: &str, covered: &str| format!("401 {ANONYMOUS} does not cover {asked}: it may {covered}; {HINT}");
    let refused = |who: &str, asked: &str, covered: &str, rule: &str| format!("403 {who} does not cover {asked}: it may {covered}; a rule with `{rule}` would allow it");
    let ann = "subscribe to `news/*`, `users/{user}/*`, `rooms/*`";
    check("shop", &shop(), &[
        ("nobody", &["subscribe news/1", "subscribe news/*"], YES),
        ("nobody", &["subscribe rooms/1"], &nobody("`rooms/1`", "subscribe to `news/*`")),
        ("nobody", &["publish rooms/1"], &nobody("`rooms/1`", "publish to nothing")),
        ("a ticket", &["subscribe news/1", "subscribe rooms/*", "subscribe users/ann/1", "publish rooms/1", "publish users/ann/typing"], YES),
        ("a ticket", &["subscribe users/bob/1"], &refused("the user `ann`", "`users/bob/1`", ann, "subscribe = [\"users/bob/1\"]")),
        ("a ticket", &["subscribe *"], &refused("the user `ann`", "`*`", ann, "subscribe = [\"*\"]")),
        ("a ticket", &["publish rooms/2"], &refused("the user `ann`", "`rooms/2`", "publish to `users/{user}/typing`, `rooms/1`", "publish = [\"rooms/2\"]")),
        ("a ticket", &["subscribe $wall"], &refused("the user `ann`", "the page `wall`", ann, "pages = [\"wall\"]")),
        ("a ticket", &["tickets"], "403 the user `ann` may not make or revoke tickets; a rule with `may = [\"tickets\"]` would allow it"),
        ("a ticket", &["history"], "403 the user `ann` may not read the history; a rule with `may = [\"history\"]` would allow it"),
        ("a ticket of a user named by a wildcard", &["subscribe users/ann/1"], &refused("the user `*`", "`users/ann/1`", ann, "subscribe = [\"users/ann/1\"]")),
        ("a JWT", &["subscribe news/1", "subscribe rooms/1", "subscribe users/ann/1"], YES),
        ("a JWT", &["publish rooms/1"], &refused("the user `ann`", "`rooms/1`", "publish to `users/{user}/typing`", "publish = [\"rooms/1\"]")),
        ("a JWT without sub", &["subscribe rooms/1"], YES),
        ("a JWT without sub", &["subscribe users/ann/1"], &refused("a JWT without `sub`", "`users/ann/1`", ann, "subscribe = [\"users/ann/1\"]")),
        ("the token shop", &["publish orders/1", "subscribe orders/*", "subscribe news/1", "tickets"], YES),
        ("the token shop", &["subscribe users/shop/1"], &refused("the token `shop`", "`users/shop/1`", "subscribe to `news/*`, `users/{user}/*`, `orders/*`", "subscribe = [\"users/shop/1\"]")),
    ]);
    // Rules for nobody but the backends: a user has what the ticket carries.
    check("backends", &backends(), &[
        ("nobody", &["subscribe news/1"], &nobody("`news/1`", "subscribe to nothing")),
        ("a ticket", &["subscribe rooms/7", "publish rooms/1"], YES),
        ("a ticket", &["subscribe news/1"], &refused("the user `ann`", "`news/1`", "subscribe to `rooms/*`", "subscribe = [\"news/1\"]")),
        ("a JWT", &["subscribe rooms/7"], YES),
        ("a JWT", &["publish news/1"], &refused("the user `ann`", "`news/1`", "publish to nothing", "publish = [\"news/1\"]")),
    ]);
}
