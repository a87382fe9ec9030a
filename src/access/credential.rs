//! Where a request's credential is: the one place that looks for it, so that no handler sees one.
//!
//! In this order, the first that is there: `Authorization: Bearer …`, `Authorization: Basic …` with it as the password
//! (all that some boards and readers can send), `?ticket=…` (an `EventSource` has no headers), the cookie `callout_ticket`.
//! What was added for this request goes before what a browser sends by itself.

use super::base64::{self, Alphabet};
use super::jwt::is_jwt;
use super::refusal::Kind;
use super::ticket::is_ticket;
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};
use std::fmt;

/// The parameter of the query that bears a ticket or a JWT.
pub const TICKET_PARAMETER: &str = "ticket";

/// The cookie that bears a ticket.
pub const TICKET_COOKIE: &str = "callout_ticket";

/// Where a credential was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `Authorization: Bearer …` (RFC 6750, section 2.1).
    Bearer,
    /// The password of `Authorization: Basic …` (RFC 7617). It may be meant for a proxy in front, so a password that is
    /// none of callout's says nothing.
    Basic,
    /// `?ticket=…`.
    Query,
    /// The cookie.
    Cookie,
}

/// A credential, not looked at yet. `Debug` does not print it.
#[derive(Clone, PartialEq, Eq)]
pub struct Presented {
    /// Where it was found.
    pub place: Place,
    text: String,
}

impl Presented {
    /// One that came in no request.
    pub(crate) fn of(text: String) -> Presented {
        Presented::new(Place::Bearer, text)
    }

    pub(super) fn new(place: Place, text: String) -> Presented {
        Presented { place, text }
    }

    /// The credential itself.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What its shape says that it is. A secret may have any shape, so a server's own are to be compared first.
    pub fn kind(&self) -> Kind {
        if is_ticket(&self.text) {
            Kind::Ticket
        } else if is_jwt(&self.text) {
            Kind::Jwt
        } else {
            Kind::Token
        }
    }
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Presented({:?}, …)", self.place)
    }
}

/// The credentials of a request, the one that counts first.
pub fn find(headers: &HeaderMap, query: Option<&str>) -> impl Iterator<Item = Presented> {
    let found = [authorization(headers), in_query(query), cookie(headers)];
    found.into_iter().flatten().filter(|credential| !credential.text.is_empty())
}

fn authorization(headers: &HeaderMap) -> Option<Presented> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, text) = value.split_once(' ')?;
    let text = text.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Presented { place: Place::Bearer, text: text.into() });
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let pair = String::from_utf8(base64::decode(text, Alphabet::Standard)?).ok()?;
        let (_, password) = pair.split_once(':')?;
        return Some(Presented { place: Place::Basic, text: password.into() });
    }
    // Other schemes are those of a proxy in front.
    None
}

fn in_query(query: Option<&str>) -> Option<Presented> {
    let mut pairs = form_urlencoded::parse(query?.as_bytes());
    let (_, text) = pairs.find(|(name, _)| name == TICKET_PARAMETER)?;
    Some(Presented { place: Place::Query, text: text.into_owned() })
}

fn cookie(headers: &HeaderMap) -> Option<Presented> {
    let fields = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = fields.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, text) = pairs.find(|(name, _)| *name == TICKET_COOKIE)?;
    Some(Presented { place: Place::Cookie, text: text.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
        let field =
            |(name, value): &(HeaderName, &str)| (name.clone(), HeaderValue::from_str(value).unwrap());
        fields.iter().map(field).collect()
    }

    #[test]
    fn a_credential_is_found_where_it_may_be() {
        let at = |value: &'static str| vec![(AUTHORIZATION, value)];
        for (fields, query, wanted) in [
            (at("Bearer sesame"), None, Some((Place::Bearer, "sesame"))),
            (at("bearer  sesame "), None, Some((Place::Bearer, "sesame"))),
            (at("Basic YW5uOnNlc2FtZTp4"), None, Some((Place::Basic, "sesame:x"))),
            (at("BASIC OnNlc2FtZQ=="), None, Some((Place::Basic, "sesame"))),
            (at("Bearer"), None, None),
            (at("Bearer "), None, None),
            (at("Basic OnNlc2FtZQ"), None, None),
            (at("Basic c2VzYW1l"), None, None),
            (at("Basic /w=="), None, None),
            (at("Digest username=x"), None, None),
            (vec![], Some("a=b&ticket=x%2By&ticket=z"), Some((Place::Query, "x+y"))),
            (vec![], Some("Ticket=x"), None),
            (vec![], Some("ticket="), None),
            (vec![], Some(""), None),
            (vec![(COOKIE, "a=b; callout_ticket=x.y")], None, Some((Place::Cookie, "x.y"))),
            (vec![(COOKIE, "a=b"), (COOKIE, "callout_ticket=x")], None, Some((Place::Cookie, "x"))),
            (vec![(COOKIE, "xcallout_ticket=x; callout_ticket")], None, None),
            (vec![], None, None),
        ] {
            let first = find(&headers(&fields), query).next();
            let first = first.as_ref().map(|credential| (credential.place, credential.text()));
            assert_eq!(first, wanted, "{fields:?} {query:?}");
        }
    }

    #[test]
    fn what_was_added_to_the_request_goes_before_what_a_browser_adds() {
        let fields = headers(&[(AUTHORIZATION, "Bearer a"), (COOKIE, "callout_ticket=c")]);
        let places: Vec<Place> = find(&fields, Some("ticket=b")).map(|credential| credential.place).collect();
        assert_eq!(places, [Place::Bearer, Place::Query, Place::Cookie]);
    }

    #[test]
    fn the_shape_tells_what_it_is_and_nothing_is_printed() {
        for (text, kind) in [("ct1.a.b.c", Kind::Ticket), ("eyJh.eyJi.c", Kind::Jwt), ("sesame", Kind::Token)]
        {
            let credential = find(&headers(&[]), Some(&format!("ticket={text}"))).next().unwrap();
            assert_eq!(credential.kind(), kind);
            assert_eq!(format!("{credential:?}"), "Presented(Query, …)");
        }
    }

    proptest! {
        #[test]
        fn any_header_and_query_is_read_without_a_panic(
            value in "(Bearer|Basic|basic)? ?[ -~]{0,40}", cookie in "(callout_ticket=)?[ -~]{0,30}", query in "\\PC{0,30}"
        ) {
            let fields = headers(&[(AUTHORIZATION, &value), (COOKIE, &cookie)]);
            prop_assert!(find(&fields, Some(&query)).count() <= 3);
        }
    }
}
