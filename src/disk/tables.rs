//! Tables whose keys and values are bytes. All tables have this one type, since `redb` compiles its large code once
//! for each type. Keys sort as what they stand for; numbers have 8 bytes, the most significant first.

use redb::{ReadableTable, TableDefinition};

/// The type of keys and values.
pub(crate) type Bytes = &'static [u8];

/// A table.
pub type Definition = TableDefinition<'static, Bytes, Bytes>;

/// The number under this key, if there is one.
pub(crate) fn number(
    table: &impl ReadableTable<Bytes, Bytes>,
    key: impl AsRef<[u8]>,
) -> Result<Option<u64>, redb::Error> {
    table.get(key.as_ref())?.map(|number| to_number(number.value())).transpose()
}

/// Writes a number under this key.
pub(crate) fn set_number(
    table: &mut redb::Table<Bytes, Bytes>,
    key: impl AsRef<[u8]>,
    number: u64,
) -> Result<(), redb::Error> {
    table.insert(key.as_ref(), &number.to_be_bytes()[..])?;
    Ok(())
}

/// Reads the number that these bytes encode.
pub(crate) fn to_number(bytes: &[u8]) -> Result<u64, redb::Error> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| torn())
}

/// The error where a key or a value is not what was written.
pub(crate) fn torn() -> redb::Error {
    redb::Error::Corrupted("a row is not what was written".into())
}
