use super::file::tests::text_of;
use super::*;
use crate::access::refusal::Kind;
use crate::access::ticket::TICKET_TTL_MAX;
use crate::disk::FileFolder;
use proptest::prelude::*;
use std::fs;
use std::path::PathBuf;

/// A folder that is gone when the test is over.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path = std::env::temp_dir().join(format!("callout-revoked-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Place(path)
    }

    fn open(&self) -> Result<Revoked, String> {
        Revoked::open(Arc::new(FileFolder::of_writer(&self.0)?))
    }

    fn file(&self) -> PathBuf {
        self.0.join("revoked")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

fn ticket(user: &str, issued: Moment) -> Claims {
    Claims {
        kind: Kind::Ticket,
        user: Some(user.into()),
        publish: Vec::new(),
        subscribe: Vec::new(),
        issued: Some(issued),
        expires: Some(issued.after(Duration::from_secs(600))),
        by: Some("shop".into()),
        id: format!("{user}{}", issued.micros()),
        signer: String::new(),
    }
}

fn user(name: &str) -> Taken {
    Taken::User(name.into())
}

#[test]
fn what_was_given_before_is_void_and_what_is_given_later_is_not() {
    let revoked = Revoked::default();
    for _ in 0..1000 {
        // The clock is much slower than this loop.
        let before = ticket("ann", revoked.stamp().unwrap());
        assert!(!revoked.is_void(&before));
        revoked.take_back(user("ann"), None).unwrap();
        let after = ticket("ann", revoked.stamp().unwrap());
        assert!(revoked.is_void(&before) && !revoked.is_void(&after));
        assert!(!revoked.is_void(&ticket("bob", before.issued.unwrap())));
    }
}

#[test]
fn a_ticket_falls_alone_and_a_token_with_its_tickets() {
    let revoked = Revoked::default();
    let [first, second] = [(), ()].map(|()| ticket("ann", revoked.stamp().unwrap()));
    revoked.take_back(Taken::Ticket(first.id.clone()), first.expires).unwrap();
    assert!(revoked.is_void(&first) && !revoked.is_void(&second));

    revoked.take_back(Taken::Token { name: "shop".into(), secrets: vec!["hash".into()] }, None).unwrap();
    let third = ticket("ann", revoked.stamp().unwrap());
    assert!(revoked.is_void(&second) && !revoked.is_void(&third));
    assert!(revoked.is_token_void("shop", "hash") && !revoked.is_token_void("shop", "new"));
    assert!(!revoked.is_token_void("other", "hash"));
    assert!(!revoked.is_void(&Claims { by: Some("other".into()), ..second.clone() }));
    // Taking back its tickets alone does not make the old secret valid again.
    revoked.take_back(Taken::Token { name: "shop".into(), secrets: Vec::new() }, None).unwrap();
    assert!(revoked.is_token_void("shop", "hash"));
    // Nor does taking back a later one.
    revoked.take_back(Taken::Token { name: "shop".into(), secrets: vec!["new".into()] }, None).unwrap();
    assert!(revoked.is_token_void("shop", "hash") && revoked.is_token_void("shop", "new"));
}

#[test]
fn a_jwt_without_iat_falls_with_its_user() {
    let revoked = Revoked::default();
    let jwt =
        Claims { kind: Kind::Jwt, issued: None, expires: None, by: None, ..ticket("ann", Moment::now()) };
    revoked.take_back(user("bob"), None).unwrap();
    assert!(!revoked.is_void(&jwt));
    revoked.take_back(user("ann"), None).unwrap();
    assert!(revoked.is_void(&jwt));
}

#[test]
fn a_revocation_reaches_what_another_machine_gave_whose_clock_is_ahead() {
    let revoked = Revoked::default();
    let ahead = ticket("ann", Moment::now().after(Duration::from_secs(50)));
    revoked.saw(&ahead);
    revoked.take_back(user("ann"), None).unwrap();
    assert!(revoked.is_void(&ahead));
    assert!(!revoked.is_void(&ticket("ann", revoked.stamp().unwrap())));
}

#[test]
fn the_list_survives_a_restart() {
    let place = Place::new("restart");
    let revoked = place.open().unwrap();
    assert!(revoked.is_kept() && !Revoked::default().is_kept());
    let given = [(), (), ()].map(|()| ticket("ann", revoked.stamp().unwrap()));
    let bob = ticket("bob", revoked.stamp().unwrap());
    revoked.take_back(user("ann"), given[0].expires).unwrap();
    revoked.take_back(Taken::Ticket(bob.id.clone()), bob.expires).unwrap();
    revoked.take_back(Taken::Token { name: "wall".into(), secrets: vec!["hash".into()] }, None).unwrap();
    assert!(place.open().is_err_and(|error| error.contains("in use")), "two at a time");
    drop(revoked);
    for _ in 0..3 {
        let revoked = place.open().unwrap();
        assert!(given.iter().all(|ticket| revoked.is_void(ticket)) && revoked.is_void(&bob));
        assert!(revoked.is_token_void("wall", "hash"));
        let later = revoked.stamp().unwrap();
        assert!(given.iter().all(|ticket| ticket.issued < Some(later)));
        assert!(!revoked.is_void(&ticket("ann", later)));
    }
}

#[test]
fn a_clock_that_was_set_back_before_a_restart_makes_no_difference() {
    let place = Place::new("clock");
    // The last process had a clock that was a day ahead.
    let ahead = Moment::now().after(Duration::from_secs(86_400));
    fs::write(place.file(), text_of(&[list::Record::Given(ahead)])).unwrap();
    let revoked = place.open().unwrap();
    let old = ticket("ann", ahead);
    let new = ticket("ann", revoked.stamp().unwrap());
    assert!(new.issued > old.issued);
    revoked.take_back(user("ann"), None).unwrap();
    assert!(revoked.is_void(&old) && revoked.is_void(&new));
}

#[test]
fn entries_that_a_wrong_clock_let_end_stay_void() {
    let mut list = list::List::default();
    let given = Moment::now();
    let old = ticket("ann", given);
    let ends = given.after(TICKET_TTL_MAX);
    list.apply(list::Record::of(user("ann"), given.after(Duration::from_secs(1)), Some(ends)));
    list.drop_ended(ends.after(Duration::from_secs(1)));
    assert_eq!(list.len(), 0);
    // The clock is right again, and the ticket has not ended.
    assert!(list.is_void(&old));
    assert!(!list.is_void(&ticket("ann", given.after(Duration::from_secs(2)))));
    let again = list.records().fold(list::List::default(), |mut list, record| {
        list.apply(record);
        list
    });
    assert!(again.is_void(&old));
}

#[test]
fn a_full_list_forgets_nobody() {
    let mut list = list::List::default();
    let at = |secs: usize| Moment::from_secs(secs as f64).unwrap();
    let token = Taken::Token { name: "shop".into(), secrets: vec!["hash".into()] };
    list.apply(list::Record::of(token, at(1), None));
    for index in 2..=REVOKED_MAX {
        assert!(!list.make_room(at(0)));
        list.apply(list::Record::of(user(&format!("u{index}")), at(index), None));
    }
    assert!(list.make_room(at(0)));
    assert!(list.len() < REVOKED_MAX && list.len() > REVOKED_MAX * 8 / 10);
    let by_nobody = |user: &str, issued| Claims { by: None, ..ticket(user, issued) };
    for index in (2..=REVOKED_MAX).step_by(100) {
        assert!(list.is_void(&by_nobody(&format!("u{index}"), at(index))), "{index}");
    }
    assert!(list.is_void(&by_nobody("somebody", at(100))), "given before what was dropped");
    assert!(!list.is_void(&by_nobody("somebody", at(REVOKED_MAX / 2))));
    assert!(list.is_token_void("shop", "hash"), "a token is not dropped");
}

#[test]
fn names_of_tokens_that_nobody_has_leave_room_for_others() {
    let revoked = Revoked::default();
    let old = ticket("ann", revoked.stamp().unwrap());
    let shop = Taken::Token { name: "shop".into(), secrets: vec!["hash".into()] };
    revoked.take_back(shop, None).unwrap();
    for index in 0..REVOKED_MAX + 10 {
        revoked.take_back(Taken::Token { name: format!("t{index}"), secrets: Vec::new() }, None).unwrap();
    }
    let (by_first, new) = (Some("t0".to_owned()), ticket("bob", revoked.stamp().unwrap()));
    assert!(revoked.is_void(&Claims { by: by_first, ..old }), "what the first of them gave stays void");
    revoked.take_back(user("bob"), None).unwrap();
    assert!(revoked.is_void(&new));
    assert!(revoked.is_token_void("shop", "hash"));
    assert!(revoked.list.read().len() <= REVOKED_MAX);
}

#[test]
fn the_tickets_of_a_token_are_forgotten_when_they_have_ended() {
    let mut list = list::List::default();
    let given = Moment::now();
    for (name, secrets) in [("shop", Vec::new()), ("wall", vec!["hash".to_owned()])] {
        list.apply(list::Record::of(Taken::Token { name: name.into(), secrets }, given, None));
    }
    list.drop_ended(given.after(TICKET_TTL_MAX));
    assert_eq!(list.len(), 2);
    list.drop_ended(given.after(TICKET_TTL_MAX + Duration::from_secs(1)));
    assert_eq!(list.len(), 1, "a secret has no end");
    assert!(list.is_void(&ticket("ann", given)), "should the clock have been wrong");
}

#[test]
fn a_damaged_list_is_not_taken_for_a_shorter_one() {
    let place = Place::new("damage");
    let revoked = place.open().unwrap();
    for name in ["ann", "bob", "eve"] {
        revoked.take_back(user(name), None).unwrap();
    }
    drop(revoked);
    let whole = fs::read(place.file()).unwrap();
    for position in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[position] ^= 1;
        fs::write(place.file(), &bytes).unwrap();
        let error = place.open().err().unwrap_or_else(|| panic!("byte {position} was changed"));
        assert!(error.contains("revoked` is damaged"), "{error}");
    }
    for (bytes, error) in [
        (Vec::new(), "it is empty"),
        (b"\0\0\0\0".to_vec(), "its line 1"),
        (whole[..10].to_vec(), "its line 1"),
        ([&whole[..], b"00000000 {}\n"].concat(), "its line 5"),
        (text_of(&[]).replace("revoked 1", "revoked 2").into_bytes(), "its line 1"),
    ] {
        fs::write(place.file(), bytes).unwrap();
        let given = place.open().err().unwrap();
        assert!(given.contains(error), "{given}");
    }
}

#[test]
fn what_a_power_cut_left_of_a_line_is_cut_off() {
    let place = Place::new("torn");
    let revoked = place.open().unwrap();
    let (ann, bob) = (ticket("ann", revoked.stamp().unwrap()), ticket("bob", revoked.stamp().unwrap()));
    revoked.take_back(user("ann"), None).unwrap();
    let length = fs::metadata(place.file()).unwrap().len() as usize;
    revoked.take_back(user("bob"), None).unwrap();
    drop(revoked);
    let whole = fs::read(place.file()).unwrap();
    for end in length..whole.len() - 1 {
        let zeros = vec![0; whole.len() - end];
        // Its beginning, its beginning and zeros, zeros and its end.
        let lost = vec![0; end - length + 1];
        for left in [
            &whole[..end],
            &[&whole[..end], &zeros].concat(),
            &[&whole[..length], &lost, &whole[end + 1..]].concat(),
        ] {
            fs::write(place.file(), left).unwrap();
            let revoked = place.open().unwrap_or_else(|error| panic!("{end}: {error}"));
            assert!(revoked.is_void(&ann) && !revoked.is_void(&bob), "{end}");
            revoked.take_back(user("bob"), None).unwrap();
            drop(revoked);
            assert!(place.open().unwrap().is_void(&bob));
        }
    }
}

#[test]
fn the_file_does_not_grow_for_ever() {
    let place = Place::new("growth");
    let revoked = place.open().unwrap();
    let mut longest = 0;
    for _ in 0..2_500 {
        revoked.take_back(user("ann"), None).unwrap();
        longest = longest.max(fs::metadata(place.file()).unwrap().len());
    }
    assert!(longest < 1_100 * 80, "{longest}");
    let ann = ticket("ann", revoked.stamp().unwrap());
    assert!(!revoked.is_void(&ann));
    revoked.take_back(user("ann"), None).unwrap();
    drop(revoked);
    assert!(place.open().unwrap().is_void(&ann));
}

#[test]
fn a_folder_that_was_removed_is_noticed() {
    let place = Place::new("removed");
    let revoked = place.open().unwrap();
    let ann = ticket("ann", revoked.stamp().unwrap());
    fs::remove_dir_all(&place.0).unwrap();
    let error = revoked.take_back(user("ann"), None).unwrap_err();
    assert!(error.contains("was removed or replaced"), "{error}");
    assert!(revoked.is_void(&ann), "it is void all the same");
}

proptest! {
    #[test]
    fn the_list_is_the_same_after_each_restart(changes in prop::collection::vec((0..4u8, 0..5u8, 0..50u64, prop::option::of(0..90u64)), 0..40)) {
        let at = |secs: u64| Moment::from_secs(secs as f64).unwrap();
        let mut list = list::List::default();
        for (kind, name, until, ends) in changes {
            let name = format!("n{name}");
            let taken = match kind {
                0 => Taken::User(name),
                1 => Taken::Ticket(name),
                2 => Taken::Token { name, secrets: ends.map(|ends| ends.to_string()).into_iter().collect() },
                _ => {
                    list.drop_ended(at(until));
                    continue;
                }
            };
            list.apply(list::Record::of(taken, at(until), ends.map(at)));
        }
        let mut again = list::List::default();
        list.records().for_each(|record| again.apply(record));
        for name in 0..5 {
            for secs in 0..50 {
                let claims = Claims { user: Some(format!("n{name}")), by: Some(format!("n{}", secs % 5)), ..ticket("", at(secs)) };
                prop_assert_eq!(list.is_void(&claims), again.is_void(&claims));
            }
        }
        prop_assert_eq!(list.last(), again.last());
    }
}
