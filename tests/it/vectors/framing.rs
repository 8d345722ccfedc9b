//! How a body that passes is framed on its way to upstream.
