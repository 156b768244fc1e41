//! What devices with V1112 printed in openLuat's documentation (the runtime
//! sheet's O.1), line by line where the lines do not depend on the device.

mod support;

use airbench_luatos::Core;
use support::run;

/// The lines follow each other, with nothing in between but the modem's.
fn prints(code: &str, expected: &[&str]) {
    let lines = run(Core::V1112, code);
    let skipped = ["D/mobile", "E/main", "self_info"];
    let lines: Vec<&str> = lines
        .iter()
        .map(String::as_str)
        .filter(|line| !skipped.iter().any(|start| line.starts_with(start)))
        .take(expected.len())
        .collect();
    assert_eq!(lines, expected);
}

const BOOT: [&str; 7] = [
    "am_service_init 851:Air780E_A17",
    "Uart_BaseInitEx 1049:uart 0 rx cache 256 dma 256",
    "I/pm poweron: Power/Reset",
    "I/main LuatOS@EC618 base 23.11 bsp V1112 32bit",
    "I/main ROM Build: Sep  3 2024 15:55:27",
    "D/main loadlibs luavm 262136 14360 14392",
    "D/main loadlibs sys   277872 53984 81264",
];

#[test]
fn a_board_that_says_what_it_is() {
    let code = r#"pm.power(pm.PWK_MODE, false)
        log.info("hmeta", hmeta.model(), hmeta.hwver and hmeta.hwver())
        log.info("bsp", rtos.bsp())
        log.info("luatos_version", rtos.version())"#;
    let own = [
        "I/user.hmeta\tAir780E\tA17",
        "I/user.bsp\tEC618",
        "I/user.luatos_version\tV1112",
    ];
    prints(code, &[&BOOT[..], &own].concat());
}

#[test]
fn hashes_and_ciphers() {
    let code = r#"log.info("md5", crypto.md5("abc"))
        log.info("hmac_md5", crypto.hmac_md5("abc", "1234567890"))
        log.info("sha1", crypto.sha1("abc"))
        log.info("hmac_sha1", crypto.hmac_sha1("abc", "1234567890"))
        log.info("sha256", crypto.sha256("abc"))
        log.info("hmac_sha256", crypto.hmac_sha256("abc", "1234567890"))
        log.info("sha512", crypto.sha512("abc"))
        log.info("hmac_sha512", crypto.hmac_sha512("abc", "1234567890"))
        log.info("AES", (crypto.cipher_encrypt("AES-128-ECB", "ZERO", "023001", "HZBIT@WLW/YSBKEY")):toHex())
        local long = "12345678901234 > 123456"
        log.info("AES", (crypto.cipher_encrypt("AES-128-ECB", "PKCS7", long, "1234567890123456")):toHex())
        log.info("AES", (crypto.cipher_encrypt("AES-128-CBC", "PKCS7", long, "1234567890123456", "1234567890666666")):toHex())
        local des = crypto.cipher_encrypt("DES-ECB", "PKCS7", "abcdefg", "12345678")
        log.info("des", des:toHex())
        log.info("des", crypto.cipher_decrypt("DES-ECB", "PKCS7", des, "12345678"))
        local key = "123456781234567812345678"
        local triple = crypto.cipher_encrypt("DES-EDE3-ECB", "PKCS7", "abcdefg!!--ZZSS", key)
        log.info("3des", triple:toHex())
        log.info("3des", crypto.cipher_decrypt("DES-EDE3-ECB", "PKCS7", triple, key))
        log.info("cipher", "list", json.encode(crypto.cipher_list()))
        local suites = crypto.cipher_suites()
        log.info("suites", #suites, suites[1], suites[42])"#;
    let own = [
        "I/user.md5\t900150983CD24FB0D6963F7D28E17F72",
        "I/user.hmac_md5\t416478FC0ACE1C4AB37F85F4F86A16B1",
        "I/user.sha1\tA9993E364706816ABA3E25717850C26C9CD0D89D",
        "I/user.hmac_sha1\tDAE54822C0DAF6C115C97B0AD62C7BCBE9D5E6FC",
        "I/user.sha256\tBA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
        "I/user.hmac_sha256\t86055184805B4A466A7BE398FF4A7159F9055EA7EEF339FC94DCEC6F165898BA",
        "I/user.sha512\tDDAF35A193617ABACC417349AE20413112E6FA4E89A97EA20A9EEEE64B55D39A2192992A274FC1A836BA3C23A3FEEBBD454D4423643CE80E2A9AC94FA54CA49F",
        "I/user.hmac_sha512\t0F92B9AC88949E0BF7C9F1E6F9901BAB8EDFDC9E561DFDE428BC4339961A0569AD01B44343AA56E439949655D15C4D28492D459E75015489920243F3C9986F2A",
        "D/crypto zero padding",
        "I/user.AES\t013EEA6EBACCBD7AD990FAEF75FB99C4\t32",
        "I/user.AES\tA37DE67837A1A3006E47A7BC25AA0ECC030B4E058E1972FE5B257FD8C3436142\t64",
        "I/user.AES\t26D98EA512AE92BC487536B83F2BE99B467649A9700338F4B4FF75AA2654DD2C\t64",
        "I/user.des\t486CB8B81CACCDB7\t16",
        "I/user.des\tabcdefg",
        "I/user.3des\t14619F067B425995D0CD975B85491D98\t32",
        "I/user.3des\tabcdefg!!--ZZSS",
        "I/user.cipher\tlist\t[\"AES-128-ECB\",\"AES-192-ECB\",\"AES-256-ECB\",\"AES-128-CBC\",\"AES-192-CBC\",\"AES-256-CBC\",\"AES-128-CTR\",\"AES-192-CTR\",\"AES-256-CTR\",\"AES-128-GCM\",\"AES-192-GCM\",\"AES-256-GCM\",\"AES-128-CCM\",\"AES-192-CCM\",\"AES-256-CCM\",\"DES-ECB\",\"DES-EDE-ECB\",\"DES-EDE3-ECB\",\"DES-CBC\",\"DES-EDE-CBC\",\"DES-EDE3-CBC\"]",
        "I/user.suites\t42\tTLS-ECDHE-ECDSA-WITH-AES-256-GCM-SHA384\tTLS-PSK-WITH-AES-128-CCM-8",
    ];
    prints(code, &[&BOOT[..], &own].concat());
}
