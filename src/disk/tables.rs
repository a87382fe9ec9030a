//! Tables of bytes, as all tables are: tables of one type share their code, which is large. Keys sort as what
//! they stand for; numbers are 8 bytes, the highest first.

use redb::{ReadableTable, TableDefinition};

/// What keys and values are.
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

/// The number that these bytes are.
pub(crate) fn to_number(bytes: &[u8]) -> Result<u64, redb::Error> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| torn())
}

/// What is wrong where a key or a value is not what was written.
pub(crate) fn torn() -> redb::Error {
    redb::Error::Corrupted("a row is not what was written".into())
}
