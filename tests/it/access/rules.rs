//! Rules: who may do what by them, and what a refusal says.

use callout::access::{Access, Hosts, Origins, Rules, Wanted};
use callout::{
    Action, Area, Caller, Digest, Error, ErrorKind, Identity, Pattern, Rights, Rule, Secret, Selector, Topic,
    Who,
};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

const AWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn rule(who: Who, publish: &[&str], subscribe: &[&str]) -> Rule {
    let patterns = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Pattern>>();
    let mut rule = Rule::new(who);
    (rule.publish, rule.subscribe) = (patterns(publish), patterns(subscribe));
    rule
}

fn token(name: &str) -> Who {
    Who::Token { name: name.into(), digest: Digest::of(&format!("secret of {name}")) }
}

/// The rules of a shop: news for everybody, something for each user, and a backend with few rights.
fn shop() -> Vec<Rule> {
    let mut news = rule(Who::Anonymous, &[], &["news/*"]);
    news.pages.push(Area::Chat);
    let mine = rule(Who::SignedIn, &["users/{user}/typing"], &["users/{user}", "users/{user}/*"]);
    let mut shop = rule(token("shop"), &["orders/*", "users/*"], &["orders/*"]);
    shop.may = vec![Action::History, Action::Tickets];
    let few = rule(token("many"), &["a", "b", "c", "d", "e", "f", "g"], &[]);
    vec![news, mine, shop, few]
}

fn access(rules: &[Rule], publish_token: Option<&str>, is_exposed: bool) -> Access {
    let rules = Rules::new(rules, publish_token.map(Secret::new).as_ref()).unwrap();
    Access::new(rules, Hosts::default(), Origins::default(), is_exposed)
}

/// Someone away from this machine: `-` is nobody, `shop` a token, `@ann` a user, and `@ann+x/*` one whose ticket gives `x/*`.
fn caller(access: &Access, who: &str) -> Caller {
    let mut headers = HeaderMap::new();
    if let Some(user) = who.strip_prefix('@') {
        let (name, own) = user.split_once('+').map_or((user, None), |(name, own)| (name, Some(own)));
        let own: Vec<Selector> = own.iter().map(|text| text.parse().unwrap()).collect();
        let rights = Arc::new(Rights::carried(&[], &own));
        return Caller::anonymous(AWAY, &headers).carrying(Identity::User(name.into()), rights);
    }
    if who != "-" {
        let given = if who == "publish-token" { "sesame".into() } else { format!("secret of {who}") };
        headers.insert(AUTHORIZATION, format!("Bearer {given}").parse().unwrap());
    }
    // A credential that is not valid is refused, but where nothing is asked for.
    let wanted = Wanted { nothing: true, ..Wanted::default() };
    access.grant(&headers, None, AWAY, wanted).unwrap().caller().clone()
}

/// What is answered to `publish a`, `subscribe a`, or the name of a right.
fn ask(access: &Access, caller: &Caller, what: &str) -> Result<(), Error> {
    match what.split_once(' ') {
        Some(("publish", topic)) => access.may_publish(caller, &Topic::new(topic).unwrap()),
        Some(("subscribe", selector)) => access.may_subscribe(caller, &selector.parse().unwrap()),
        _ if what == "history list" => access.may(caller, Action::HistoryList),
        _ if what == "page history" => access.may(caller, Action::PageHistory),
        _ => access.may(caller, what.parse().unwrap()),
    }
}

const YES: &str = "";
const START: &str =
    "start the server with `--publish-token`, or with a `[[token]]` in its configuration file";
/// A 401, whose reason names what a request without a credential may.
const NOBODY: &str = "send `Authorization: Bearer …` with a token, a ticket or a JWT that may; where no header can be set, \
                      as with EventSource, a ticket in `?ticket=…`";

/// What was refused and what would help. A 401 is told by its hint.
fn said(error: &Error) -> String {
    let problem = error.problem();
    match error.kind() {
        ErrorKind::Unauthorized => {
            let subjects =
                ["a request without a credential", "the token that was sent is none of this server's"];
            assert!(subjects.iter().any(|subject| problem.reason.starts_with(subject)), "{}", problem.reason);
            problem.hint.to_owned()
        }
        _ => format!("{}; {}", problem.reason, problem.hint),
    }
}

fn check(name: &str, access: &Access, table: &[(&str, &str, &str)]) {
    for (who, what, why) in table {
        let answer = ask(access, &caller(access, who), what).err().map(|error| said(&error));
        assert_eq!(answer.unwrap_or_default(), *why, "{name}: {who}: {what}");
    }
}

#[test]
#[rustfmt::skip] // a table
fn by_rules_everybody_may_what_they_give_and_is_told_what_they_do_not() {
    check("shop", &access(&shop(), None, true), &[
        ("-", "subscribe news/1", YES),
        ("-", "subscribe news/*", YES),
        ("-", "subscribe news", NOBODY),
        ("-", "subscribe *", NOBODY),
        ("-", "subscribe orders/1", NOBODY),
        ("-", "publish news/1", NOBODY),
        ("-", "publish $chat", YES),
        ("-", "subscribe $chat", YES),
        ("-", "subscribe $wall", NOBODY),
        ("-", "subscribe $users", NOBODY),
        ("-", "history", NOBODY),
        ("-", "metrics", NOBODY),
        ("unknown", "subscribe news/1", YES),
        ("unknown", "publish news/1", NOBODY),

        ("@ann", "subscribe news/1", YES),
        ("@ann", "subscribe users/ann/*", YES),
        ("@ann", "publish users/ann/typing", YES),
        ("@ann", "subscribe $user/ann", YES),
        ("@ann", "subscribe $users", YES),
        ("@ann", "subscribe $time/ann", YES),
        ("@ann", "subscribe users/*",
            "the user `ann` does not cover `users/*`: it may subscribe to `news/*`, the page `chat`, `users/{user}`, \
             `users/{user}/*`; a rule with `subscribe = [\"users/*\"]` would allow it"),
        ("@ann", "subscribe $user/bob",
            "the user `ann` does not cover the notifications of `bob`: it may subscribe to `news/*`, the page `chat`, \
             `users/{user}`, `users/{user}/*`; a rule with `subscribe = [\"users/bob\"]` would allow it"),
        ("@ann", "publish $user/ann",
            "the user `ann` does not cover the notifications of `ann`: it may publish to the page `chat`, \
             `users/{user}/typing`; a rule with `publish = [\"users/ann\"]` would allow it"),
        ("@ann", "publish $users",
            "the user `ann` does not cover the notifications of all users: it may publish to the page `chat`, \
             `users/{user}/typing`; a rule with `pages = [\"notifications\"]` would allow it"),
        ("@ann", "subscribe $wall",
            "the user `ann` does not cover the page `wall`: it may subscribe to `news/*`, the page `chat`, `users/{user}`, \
             `users/{user}/*`; a rule with `pages = [\"wall\"]` would allow it"),
        ("@ann", "retract", "the user `ann` may not take events back; a rule with `may = [\"retract\"]` would allow it"),
        ("@ann+orders/7", "subscribe orders/7", YES),
        ("@ann+orders/7", "subscribe orders/8",
            "the user `ann` does not cover `orders/8`: it may subscribe to `news/*`, the page `chat`, `users/{user}`, \
             `users/{user}/*`, `orders/7`; a rule with `subscribe = [\"orders/8\"]` would allow it"),
        ("@*", "subscribe users/ann/1",
            "the user `*` does not cover `users/ann/1`: it may subscribe to `news/*`, the page `chat`, `users/{user}`, \
             `users/{user}/*`; a rule with `subscribe = [\"users/ann/1\"]` would allow it"),
        ("@ann+{user}/*", "subscribe ann/1",
            "the user `ann` does not cover `ann/1`: it may subscribe to `news/*`, the page `chat`, `users/{user}`, \
             `users/{user}/*`, `{user}/*`; a rule with `subscribe = [\"ann/1\"]` would allow it"),

        ("shop", "publish orders/1", YES),
        ("shop", "subscribe orders/*", YES),
        ("shop", "publish $user/ann", YES),
        ("shop", "publish $users", YES),
        ("shop", "history", YES),
        ("shop", "history list", YES),
        ("shop", "tickets", YES),
        ("shop", "subscribe users/ann",
            "the token `shop` does not cover `users/ann`: it may subscribe to `news/*`, the page `chat`, `users/{user}`, \
             `users/{user}/*`, `orders/*`; a rule with `subscribe = [\"users/ann\"]` would allow it"),
        ("shop", "retract", "the token `shop` may not take events back; a rule with `may = [\"retract\"]` would allow it"),
        ("shop", "close", "the token `shop` may not end streams; a rule with `may = [\"close\"]` would allow it"),
        ("shop", "metrics", "the token `shop` may not read the metrics; a rule with `may = [\"metrics\"]` would allow it"),
        ("shop", "admin", "the token `shop` may not administer the server; a rule with `may = [\"admin\"]` would allow it"),
        ("many", "tickets", "the token `many` may not make or revoke tickets; a rule with `may = [\"tickets\"]` would allow it"),
        ("many", "history", "the token `many` may not read the history; a rule with `may = [\"history\"]` would allow it"),
        ("many", "history list", "the token `many` may not list what is kept; a rule with `may = [\"history\"]` would allow it"),
        ("many", "publish z",
            "the token `many` does not cover `z`: it may publish to the page `chat`, `users/{user}/typing`, `a`, `b`, `c` and \
             4 more; a rule with `publish = [\"z\"]` would allow it"),
    ]);
}

#[test]
#[rustfmt::skip] // a table
fn without_rules_everything_is_open_but_what_needs_a_token_where_others_can_reach_it() {
    let needs_token = |deed: &str| format!(
        "a server that others can reach lets nobody {deed} without a token, and this one has none; {START}"
    );
    let here = |deed: &str| format!("without a token, only the machine that callout runs on may {deed}; {START}");
    let pages = &format!("what callout's own pages keep is shown only with a publish token, and this server has none; {START}");
    let retract = &format!("without a publish token, events are taken back only from the machine that callout runs on; {START}");
    for is_exposed in [false, true] {
        let access = access(&[], None, is_exposed);
        check("open", &access, &[
            ("-", "publish news", YES),
            ("-", "publish $user/ann", YES),
            ("-", "publish $mine", YES),
            ("-", "subscribe *", YES),
            ("-", "subscribe $user/ann", YES),
            ("@ann", "subscribe $activity", YES),
            ("-", "history", YES),
            ("-", "metrics", YES),
            ("-", "page history", pages),
            ("-", "retract", retract),
        ]);
    }
    check("exposed", &access(&[], None, true), &[
        ("-", "history list", &needs_token("list what is kept")),
        ("-", "tickets", &needs_token("make or revoke tickets")),
        ("-", "admin", &needs_token("administer the server")),
    ]);
    check("not exposed", &access(&[], None, false), &[
        ("-", "history list", YES),
        ("-", "tickets", &here("make or revoke tickets")),
        ("-", "admin", &here("administer the server")),
        ("-", "close", &here("end streams")),
    ]);
}

#[test]
#[rustfmt::skip] // a table
fn the_publish_token_closes_publishing_alone_and_beside_rules_it_is_one_token_of_many() {
    check("alone", &access(&[], Some("sesame"), true), &[
        ("-", "subscribe *", YES),
        ("-", "subscribe $user/ann", YES),
        ("-", "publish $chat", YES),
        ("-", "publish $time/ann", YES),
        ("-", "publish news", NOBODY),
        ("-", "publish $user/ann", NOBODY),
        ("-", "publish $users", NOBODY),
        ("-", "history", NOBODY),
        ("publish-token", "publish news", YES),
        ("publish-token", "publish $users", YES),
        ("publish-token", "history list", YES),
        ("publish-token", "page history", YES),
        ("publish-token", "retract", YES),
        ("publish-token", "tickets",
            "the token `publish-token` may not make or revoke tickets; a rule with `may = [\"tickets\"]` would allow it"),
    ]);
    check("beside rules", &access(&shop(), Some("sesame"), true), &[
        ("-", "subscribe orders/1", NOBODY),
        ("publish-token", "publish orders/1", YES),
        ("publish-token", "subscribe $user/ann", YES),
        ("shop", "publish orders/1", YES),
    ]);
}

#[test]
fn rules_that_contradict_each_other_are_refused() {
    let why = |rules: &[Rule], publish_token: Option<&str>| {
        Rules::new(rules, publish_token.map(Secret::new).as_ref()).unwrap_err().to_string()
    };
    let named = |name: &str, secret: &str| {
        rule(Who::Token { name: name.into(), digest: Digest::of(secret) }, &[], &[])
    };
    assert_eq!(why(&[named("a", "x"), named("b", "x")], None), "the tokens `a` and `b` have the same secret");
    assert_eq!(why(&[named("a", "x")], Some("x")), "the tokens `a` and `publish-token` have the same secret");
    assert!(why(&[named("publish-token", "x")], None).contains("belongs to the token of `--publish-token`"));
    assert!(why(&[named("a b", "x")], None).contains("1 to 64 characters"));
    let mut may = rule(Who::SignedIn, &[], &[]);
    may.may.push(Action::Admin);
    assert_eq!(why(&[may], None), "`may` is for tokens only");
    // While a secret is changed for another, both are taken.
    assert!(Rules::new(&[named("a", "x"), named("a", "y")], None).is_ok());
}

#[test]
fn what_was_granted_is_confirmed_as_long_as_the_rules_give_it() {
    let access = access(&shop(), None, true);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, "Bearer secret of shop".parse().unwrap());
    let wanted = Wanted { subscribe: vec!["orders/*".parse().unwrap()], ..Wanted::default() };
    let grant = access.grant(&headers, None, AWAY, wanted).unwrap();
    assert!(access.confirm(&grant).is_ok());
    let mut rules = shop();
    rules.remove(0);
    access.reload(Rules::new(&rules, None).unwrap());
    assert!(access.confirm(&grant).is_ok());
    rules.remove(1);
    access.reload(Rules::new(&rules, None).unwrap());
    assert_eq!(
        said(&access.confirm(&grant).unwrap_err()),
        "the token `shop`, which is not valid any more, does not cover `orders/*`: it may subscribe to nothing; a rule with \
         `subscribe = [\"orders/*\"]` would allow it"
    );
}

/// `cargo test --release --test it -- --ignored --nocapture ten_thousand_rules`
#[test]
#[ignore = "it measures"]
fn ten_thousand_rules_cost_a_decision_little_more_than_ten() {
    for count in [10, 10_000] {
        let mut rules = Vec::new();
        for number in 0..count {
            let exact = format!("rooms/{number}");
            let below = format!("news/{number}/*");
            rules.push(rule(Who::Anonymous, &[], &[&exact, &below]));
            rules.push(rule(Who::SignedIn, &[], &[&format!("app{number}/{{user}}/*")]));
            rules.push(rule(token(&format!("t{number}")), &[&format!("orders/{number}/*")], &[]));
        }
        let access = access(&rules, None, true);
        let last = count - 1;
        let (nobody, ann, backend) =
            (caller(&access, "-"), caller(&access, "@ann"), caller(&access, &format!("t{last}")));
        for (name, caller, what) in [
            ("an exact topic", &nobody, format!("rooms/{last}")),
            ("a prefix", &nobody, format!("news/{last}/1/2/3")),
            ("a user's", &ann, format!("app{last}/ann/1")),
            ("a refusal, with its text", &ann, format!("app{last}/bob/1")),
        ] {
            let selector: Selector = what.parse().unwrap();
            measure(count, name, || access.may_subscribe(caller, &selector).is_ok());
        }
        let topic = Topic::new(&format!("orders/{last}/1")).unwrap();
        measure(count, "a token's", || access.may_publish(&backend, &topic).is_ok());
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("Bearer secret of t{last}").parse().unwrap());
        measure(count, "a request with a token", || {
            let wanted = Wanted { publish: vec![topic.clone()], ..Wanted::default() };
            access.grant(&headers, None, AWAY, wanted).is_ok()
        });
    }
}

fn measure(rules: usize, name: &str, mut decide: impl FnMut() -> bool) {
    const ROUNDS: u32 = 100_000;
    let began = Instant::now();
    let allowed = (0..ROUNDS).filter(|_| std::hint::black_box(decide())).count();
    let nanos = began.elapsed().as_nanos() / u128::from(ROUNDS);
    println!("{rules:>6} rules, {name}: {nanos} ns ({})", if allowed > 0 { "yes" } else { "no" });
}
