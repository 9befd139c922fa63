// Keys and signatures made by GnuPG with a clock set to 2020-01-01 00:00:00. What is signed is kData.
#pragma once

#include <string_view>

namespace cooper::trust::testing {

inline constexpr std::string_view kData = "hello\n";
inline constexpr std::string_view kAliceFingerprint = "5e18c265ec8634ba603055c92406a3b529aa5a73";
inline constexpr std::string_view kBobFingerprint = "e7e17a929f9ee706377c2d1729918ebffdeff8fd";

inline constexpr std::string_view kAlice = R"(-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEXgvhABYJKwYBBAHaRw8BAQdAlMsEXtsupN3IbEHjnCKGwh5RYC80rpCh+/k0
JV/PMKK0HkFsaWNlIFRlc3QgPGFsaWNlQGV4YW1wbGUuY29tPoiQBBMWCAA4FiEE
XhjCZeyGNLpgMFXJJAajtSmqWnMFAl4L4QACGwMFCwkIBwIGFQoJCAsCBBYCAwEC
HgECF4AACgkQJAajtSmqWnNIgQD/aB10AHNK511ajcVP3RWfkURuBP45GvGELj5r
WkaXp3gBAKHzQElw1lku02miPU4gSMY8exXQp23bhd5dCNO2uj4G
=Q7oU
-----END PGP PUBLIC KEY BLOCK-----
)";

// Until 2020-01-02.
inline constexpr std::string_view kBobExpired = R"(-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEXgvhABYJKwYBBAHaRw8BAQdAPrAHf/ilsk8LQk+DlKlhb2DNiwL7ZYtEQcnI
3MOCCf20HUJvYiAoc2hvcnQpIDxib2JAZXhhbXBsZS5jb20+iJYEExYIAD4WIQTn
4XqSn57nBjd8LRcpkY6//e/4/QUCXgvhAAIbAwUJAAFRgAULCQgHAgYVCgkICwIE
FgIDAQIeAQIXgAAKCRApkY6//e/4/QwsAQCYhV2tmYZsxUtNKBcPsF84or8cHlUW
3U3Yri0acwRJOAEAvTRKKc1FuIRhMzHj6j6AXHg29EitCsyeyWTxj9pkJQc=
=nGV/
-----END PGP PUBLIC KEY BLOCK-----
)";

inline constexpr std::string_view kByAlice = R"(-----BEGIN PGP SIGNATURE-----

iIgEABYIADAWIQReGMJl7IY0umAwVckkBqO1KapacwUCXgvhABIcYWxpY2VAZXhh
bXBsZS5jb20ACgkQJAajtSmqWnOIBwEAvUbvcRTz1VLT85jlUkoEc5QkgCar1qli
Eq4EUhlTjiQBANSzsW3oMid/3tXUuGcLVQRrre+XPHUDuxFxmRFGcUYD
=YoFp
-----END PGP SIGNATURE-----
)";

inline constexpr std::string_view kByBob = R"(-----BEGIN PGP SIGNATURE-----

iIYEABYIAC4WIQTn4XqSn57nBjd8LRcpkY6//e/4/QUCXgvhABAcYm9iQGV4YW1w
bGUuY29tAAoJECmRjr/97/j9l04BAO6Lv3lyKn913CHWxgJSLGB+LbWWxDDBLDwL
05rXZrJUAQCjhOki94ukup1T9gHGI7dzDvhb0tbKLeElsHYiy/vRAw==
=GcOq
-----END PGP SIGNATURE-----
)";

// kData in it.
inline constexpr std::string_view kMessageByAlice = R"(-----BEGIN PGP MESSAGE-----

owGbwMvMwCGmwrZ4q+aqqGLGNQJJLCmJJYlx3A8ZMlJzcvK5OjpYGMQ4GAzEFFni
JA6lvmkz2ZVgEHoSpoOVCaRUSCYxJzM51SG1IjG3ICdVLzk/l4GLUwCmqIOdkWGv
2/tCkc9Xgy5/nvE0yIuleIpKg9rqayuThNaxBEkG96kwMlzZvDH3hZF6/b2rV3ak
c4eyZK99P92mlHm3YOFMQbdCN2YA
=X8S0
-----END PGP MESSAGE-----
)";

}  // namespace cooper::trust::testing
