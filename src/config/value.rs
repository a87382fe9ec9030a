//! Values: what TOML gives, as what a setting or a rule takes.

use super::fault::{Fault, Text};
use super::near::nearest;
use super::{Given, Key, Value};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reads values, and collects what is wrong with them.
pub(super) struct Values<'a> {
    pub(super) text: &'a Text<'a>,
    /// What paths are relative to.
    pub(super) folder: &'a Path,
    pub(super) faults: &'a mut Vec<Fault>,
}

impl Values<'_> {
    /// Notes what is wrong at this offset.
    pub(super) fn wrong(&mut self, at: usize, why: impl Into<String>) {
        self.faults.push(self.text.fault(at, why.into()));
    }

    /// Notes a key that is not known, and which one may be meant.
    pub(super) fn unknown_key<'k>(
        &mut self,
        key: &Spanned<Cow<'_, str>>,
        known: impl Iterator<Item = &'k str>,
    ) {
        let name = key.get_ref();
        let meant = nearest(name, known).map(|known| format!("; is `{known}` meant?")).unwrap_or_default();
        self.wrong(key.span().start, format!("there is no key `{name}` here{meant}"));
    }

    /// Notes all keys of a table that are not among these.
    pub(super) fn only_keys(&mut self, table: &DeTable<'_>, known: &[&str]) {
        for key in table.keys().filter(|key| !known.contains(&&**key.get_ref())) {
            self.unknown_key(key, known.iter().copied());
        }
    }

    /// A setting, as its flag takes it.
    pub(super) fn setting(&mut self, key: &Key, value: &Value<'_>) -> Option<Given> {
        let name = &key.name;
        let items: Vec<&Value<'_>> = match value.get_ref() {
            DeValue::Array(items) if key.is_list => items.iter().collect(),
            DeValue::Array(_) => {
                self.wrong(value.span().start, format!("`{name}` takes one value, and this is a list"));
                return None;
            }
            _ => vec![value],
        };
        let mut given = Given { values: Vec::new(), positions: Vec::new() };
        for item in items {
            given.positions.push(self.text.position(item.span().start));
            given.values.push(match item.get_ref() {
                DeValue::Boolean(is_on) if key.is_switch => is_on.to_string(),
                DeValue::String(text) if !key.is_switch => match key.is_path {
                    true => self.path_or_address(text),
                    false => text.clone().into_owned(),
                },
                DeValue::Integer(number) if !key.is_switch && number.radix() == 10 => {
                    number.as_str().replace('_', "")
                }
                other => {
                    let right =
                        if key.is_switch { "true or false" } else { "a text or a number, as its flag does" };
                    let wrong = format!(
                        "`{name}` takes {right}, and this is a value of the kind {}",
                        other.type_str()
                    );
                    self.wrong(item.span().start, wrong);
                    return None;
                }
            });
        }
        Some(given)
    }

    /// A path as it is meant; `memory` and addresses (`redis://…`) are none.
    fn path_or_address(&self, text: &str) -> String {
        if text == "memory" || text.is_empty() || text.contains("://") {
            return text.into();
        }
        self.folder.join(text).to_string_lossy().into_owned()
    }

    /// A path, relative to the file's folder.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        self.folder.join(text)
    }

    /// The text under this key of a table, and its offset.
    pub(super) fn text_of(&mut self, table: &DeTable<'_>, name: &str) -> Option<(String, usize)> {
        let value = table.get(name)?;
        let at = value.span().start;
        match value.get_ref() {
            DeValue::String(text) if !text.is_empty() => Some((text.clone().into_owned(), at)),
            other => {
                let kind = other.type_str();
                self.wrong(
                    at,
                    format!("`{name}` takes a text that is not empty, and this is one of the kind {kind}"),
                );
                None
            }
        }
    }

    /// The texts under this key of a table, each read as what it names.
    pub(super) fn list_of<T: FromStr<Err = crate::Error>>(
        &mut self,
        table: &DeTable<'_>,
        name: &str,
    ) -> Vec<T> {
        let Some(value) = table.get(name) else { return Vec::new() };
        let at = value.span().start;
        let items = match value.get_ref() {
            DeValue::Array(items) => items,
            _ => {
                self.wrong(at, format!("`{name}` takes a list of texts: `{name} = [\"…\"]`"));
                return Vec::new();
            }
        };
        let mut list = Vec::new();
        for item in items {
            match item.get_ref() {
                DeValue::String(text) => match text.parse::<T>() {
                    Ok(read) => list.push(read),
                    Err(error) => self.wrong(item.span().start, error.to_string()),
                },
                _ => self
                    .wrong(item.span().start, format!("`{name}` takes a list of texts: `{name} = [\"…\"]`")),
            }
        }
        list
    }
}
