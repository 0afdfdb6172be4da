// Made by tests/golden/torch_randn.py with torch 2.15.0
/// A call: the hash of its values' bits, the first value and the last.
pub(super) type Call = (u64, u32, u32);
/// Seed, values, and two calls one after the other.
#[rustfmt::skip]
pub(super) const CALLS: [(u64, usize, [Call; 2]); 24] = [
    (0, 1, [(0x1877733c12d64cbc, 0x3fc53f5c, 0x3fc53f5c), (0x81e7ef1b3e062969, 0xbe963c50, 0xbe963c50)]),
    (0, 15, [(0x52b8f3bcc098f4b9, 0x3fc53f5c, 0xbf891cab), (0x7ae0f6625a460a6d, 0x3dfb4aca, 0xbf37ee4f)]),
    (0, 16, [(0x28d49f8f92bf21d6, 0xbf901b85, 0xbe7d367c), (0x789928fb912c2287, 0xbfad23c2, 0xbf57fb33)]),
    (0, 17, [(0x9151e09be6bcf07a, 0xbf901b85, 0x3f6e8c30), (0x5de372712024bc61, 0x3d016764, 0x3e411430)]),
    (0, 16384, [(0xdf763936577cac18, 0xbf901b85, 0xbf8a02b8), (0xed1225d6b8171e6a, 0xbf0d4521, 0x3f900c51)]),
    (0, 1000003, [(0xdd8eb9cf82157889, 0xbf901b85, 0x3f949d66), (0xb97f8d7cc9dee7de, 0x3f0af94a, 0x3f8b650b)]),
    (42, 1, [(0x339a81d29fc978d3, 0x3eac62ae, 0x3eac62ae), (0x1e7dc5476517374f, 0x3e03e69d, 0x3e03e69d)]),
    (42, 15, [(0x4c7fdcb26081ae6b, 0x3eac62ae, 0xbf7d2c7a), (0x1bafd55e3c3c9053, 0x3f753da4, 0x3f06be05)]),
    (42, 16, [(0x080ffa5fbeb15154, 0x3ff6a529, 0x3f432f9f), (0xa96ce812bc572933, 0x3fd23771, 0x3f5c1fb0)]),
    (42, 17, [(0x91ae8bd790a50356, 0x3ff6a529, 0xbe9e9482), (0x34974a4ccf70b606, 0xbf5f0955, 0x3f35332f)]),
    (42, 16384, [(0xa6f589a085841b88, 0x3ff6a529, 0xbe963953), (0x036ed68f30e79d37, 0xbfa6ff0e, 0xbe87e40e)]),
    (42, 1000003, [(0xaa12becaf2d74a5a, 0x3ff6a529, 0x3f03ba96), (0x0a8a04d96590ba65, 0xbabba305, 0x3d869b70)]),
    (1234567890123, 1, [(0x2746c196b685ee98, 0x3f1cb286, 0x3f1cb286), (0x210e26921d969e66, 0xbf6e1d87, 0xbf6e1d87)]),
    (1234567890123, 15, [(0x712b743fb562f0bb, 0x3f1cb286, 0x3f738fb4), (0x62bada274b14925f, 0xbfdf915d, 0xbe5d79a9)]),
    (1234567890123, 16, [(0xbe71a1c9061d8d61, 0xbf118bf0, 0xbe8cb851), (0x7c952132819bbeb9, 0xbfa069df, 0x3dd284c5)]),
    (1234567890123, 17, [(0x182ba7a0e50a8fc4, 0xbf118bf0, 0x3effd4ca), (0x6efc084a66f53d30, 0xbf841a43, 0xbe8d072a)]),
    (1234567890123, 16384, [(0x37809f44a24280ff, 0xbf118bf0, 0xbf46f47c), (0xb0c3e3961ef89ad8, 0xbe7c45f5, 0xbfc42480)]),
    (1234567890123, 1000003, [(0xc71c85b80f9c95db, 0xbf118bf0, 0x3ea0da89), (0x903c4c7600b48095, 0xc0060012, 0xbf440c77)]),
    (18446744073709551615, 1, [(0x9b4a0a0b8016c1cd, 0x3f9c2132, 0x3f9c2132), (0x97f4e77b86af11a5, 0xbec9349b, 0xbec9349b)]),
    (18446744073709551615, 15, [(0xc620850571f7f360, 0x3f9c2132, 0x3f1ce4fa), (0x54a792a052cec941, 0xbf18c374, 0x3f924bf5)]),
    (18446744073709551615, 16, [(0x1808b97ae710776a, 0xc02a83da, 0x3e104a9c), (0xf1943feafc38fb67, 0x3fe58e21, 0x3ffbe3de)]),
    (18446744073709551615, 17, [(0xc48ad8ea8d0160dc, 0xc02a83da, 0x3fcfebca), (0x058644a763b05ecd, 0x3fdc6c4f, 0x3e698aae)]),
    (18446744073709551615, 16384, [(0xd7c751cb2b476594, 0xc02a83da, 0xbfba9bfb), (0xe54a7ed44b4389e4, 0x3efdf0f3, 0xbf61e410)]),
    (18446744073709551615, 1000003, [(0xcabd96d851589145, 0xc02a83da, 0xbf108727), (0xcaf18f17a3bbc6b4, 0xbd3209e1, 0x3ed4830c)]),
];
