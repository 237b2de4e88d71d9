//! What several formats share: how a field is read, what token counts mean, and
//! what paths, labels, ids and bodies say.

pub(crate) mod answer;
pub(crate) mod ending;
pub(crate) mod endpoint;
pub(crate) mod field;
pub(crate) mod id_time;
pub(crate) mod labels;
pub(crate) mod page;
pub(crate) mod provider;
pub(crate) mod several;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod tokens;
pub(crate) mod usage;
pub(crate) mod who;
pub(crate) mod wrapper;
