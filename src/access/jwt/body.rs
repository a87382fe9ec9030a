//! What a JWT says: the registered claims (RFC 7519, section 4.1), and what its bearer may do.

use super::header::Object;
use super::{JWT_LEEWAY, Parts, malformed};
use crate::access::claims::{self, Claims, is_user};
use crate::access::moment::Moment;
use crate::access::refusal::{Kind, Refusal, shown};
use crate::selector::Selector;
use crate::topic::TOPICS_MAX;
use serde::Deserialize;

/// What its bearer may do. Other names are left to others.
#[derive(Default, Deserialize)]
struct Rights {
    #[serde(default)]
    publish: Vec<String>,
    #[serde(default)]
    subscribe: Vec<String>,
}

/// For whom it is: one, or several.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a text or a list of texts")]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// What a JWT says, if it is for this audience and its time is now.
pub(super) fn claims(
    parts: &Parts,
    audience: Option<&str>,
    claim: &str,
    now: Moment,
) -> Result<Claims, Refusal> {
    let fields = Object::parse(&parts.payload, "payload")?;
    let claims = read(parts, &fields, claim)?;
    let kind = Kind::Jwt;
    if let Some(at) = claims.expires.filter(|at| *at <= now) {
        return Err(Refusal::Expired { kind, at, now });
    }
    let begins = moment(&fields, "nbf")?.into_iter().chain(claims.issued);
    if let Some(from) = begins.max().filter(|from| *from > now.after(JWT_LEEWAY)) {
        return Err(Refusal::NotYet { kind, from, now });
    }
    if let Some(wanted) = audience {
        let given = match fields.get("aud")? {
            None => Vec::new(),
            Some(Audience::One(given)) => vec![given],
            Some(Audience::Several(given)) => given,
        };
        if !given.iter().any(|given| given == wanted) {
            let given = (!given.is_empty()).then(|| given.join(", "));
            return Err(Refusal::Audience { given, wanted: wanted.into() });
        }
    }
    Ok(claims)
}

/// What a JWT says, whenever and for whomever it is.
pub(super) fn claims_at_any_time(parts: &Parts, claim: &str) -> Result<Claims, Refusal> {
    read(parts, &Object::parse(&parts.payload, "payload")?, claim)
}

fn read(parts: &Parts, fields: &Object, claim: &str) -> Result<Claims, Refusal> {
    let user: Option<String> = fields.get("sub")?;
    if user.as_ref().is_some_and(|user| !is_user(user)) {
        return Err(malformed("`sub` has 1 to 256 bytes, without control characters"));
    }
    let rights: Rights = fields.get(claim)?.unwrap_or_default();
    if rights.publish.len() + rights.subscribe.len() > TOPICS_MAX {
        return Err(malformed(format!("`{}` names more than {TOPICS_MAX} topics", shown(claim))));
    }
    Ok(Claims {
        kind: Kind::Jwt,
        user,
        publish: selectors(claim, &rights.publish)?,
        subscribe: selectors(claim, &rights.subscribe)?,
        issued: moment(fields, "iat")?,
        expires: moment(fields, "exp")?,
        by: None,
        id: claims::id(parts.signed),
        signer: String::new(),
    })
}

/// A time in seconds since 1970, fractions allowed (RFC 7519, section 2, "NumericDate").
fn moment(fields: &Object, name: &str) -> Result<Option<Moment>, Refusal> {
    let Some(secs) = fields.get::<f64>(name)? else { return Ok(None) };
    let wrong = || malformed(format!("`{name}` is not in seconds between 1970 and the year 9999"));
    Moment::from_secs(secs).map(Some).ok_or_else(wrong)
}

fn selectors(claim: &str, texts: &[String]) -> Result<Vec<Selector>, Refusal> {
    let parse = |text: &String| {
        let wrong =
            |error| malformed(format!("`{}` names the topic `{}`: {error}", shown(claim), shown(text)));
        text.parse().map_err(wrong)
    };
    texts.iter().map(parse).collect()
}
