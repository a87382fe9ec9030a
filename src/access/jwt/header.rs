//! The header of a JWT, and JSON objects that name nothing twice.

use super::malformed;
use crate::access::refusal::{Refusal, shown};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;

/// What the header says that callout looks at.
pub(super) struct Header {
    pub(super) alg: String,
    pub(super) kid: Option<String>,
}

impl Header {
    pub(super) fn parse(json: &str) -> Result<Header, Refusal> {
        let fields = Object::parse(json, "header")?;
        // RFC 7515, section 4.1.11: what is listed there has to be understood, and callout understands nothing more.
        if fields.get::<&RawValue>("crit")?.is_some() {
            return Err(malformed("its header has `crit`, and callout knows no extension"));
        }
        // RFC 7797: the payload would not be base64url.
        if fields.get::<&RawValue>("b64")?.is_some() {
            return Err(malformed("its header has `b64`, and callout knows no extension"));
        }
        let alg: String = fields.get("alg")?.ok_or_else(|| malformed("its header has no `alg`"))?;
        Ok(Header { alg, kid: fields.get("kid")? })
    }
}

/// A JSON object, its values unread. One that names something twice is refused: two readers could take different values.
pub(super) struct Object<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Object<'a> {
    pub(super) fn parse(json: &'a str, part: &str) -> Result<Object<'a>, Refusal> {
        serde_json::from_str(json).map_err(|error| {
            malformed(format!("its {part} is no JSON object: {}", shown(&error.to_string())))
        })
    }

    /// A value of this type; none where it is not there.
    pub(super) fn get<T: Deserialize<'a>>(&self, name: &str) -> Result<Option<T>, Refusal> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let wrong = |error: serde_json::Error| malformed(format!("`{name}`: {}", shown(&error.to_string())));
        serde_json::from_str(value.get()).map(Some).map_err(wrong)
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<'de>, D::Error> {
        struct Once;
        impl<'de> Visitor<'de> for Once {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    let shown = shown(&name);
                    if fields.insert(name, value).is_some() {
                        return Err(A::Error::custom(format!("`{shown}` stands in it twice")));
                    }
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Once)
    }
}
