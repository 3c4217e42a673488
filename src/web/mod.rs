//! Kit for pages and JSON: routes with capabilities, extractors, errors, forms, assets, streams. No product noun.
