#!/bin/sh
# Makes the certificates of the tests with OpenSSL 3. They are in the repository, valid until 2100, so that nobody needs
# to run this; their private keys protect nothing.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

make_key() { # file
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"
}

# openssl ca, because it alone lets both dates be chosen.
sign() { # request, certificate, authority, extensions, end, more options
    request=$1 certificate=$2 authority=$3 extensions=$4 end=$5
    shift 5
    printf '%s\n' "[ca]" "default_ca=it" "[it]" "database=$work/index" "rand_serial=yes" "default_md=sha256" \
        "policy=any" "new_certs_dir=$work" "unique_subject=no" "[any]" "commonName=supplied" > "$work/ca.cnf"
    printf '%b' "$extensions" > "$work/extensions"
    : > "$work/index"
    openssl ca -batch -notext -config "$work/ca.cnf" -in "$request" -out "$certificate.pem" -keyfile "$authority.key" \
        -extfile "$work/extensions" -startdate 20200101000000Z -enddate "$end" "$@"
}

make_ca() { # file, name
    make_key "$1"
    openssl req -new -key "$1.key" -subj "/CN=$2" -out "$work/request"
    sign "$work/request" "$1" "$1" "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n\
subjectKeyIdentifier=hash\n" 21000101000000Z -selfsign
}

make_leaf() { # file, name, authority, alternative names, use, end
    make_key "$1"
    openssl req -new -key "$1.key" -subj "/CN=$2" -out "$work/request"
    sign "$work/request" "$1" "$3" "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=$5\n\
subjectAltName=$4\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n" "$6" -cert "$3.pem"
}

here="DNS:localhost,IP:127.0.0.1,IP:::1"
make_ca ca "leadscomm test authority"
make_ca other_ca "another authority"
make_leaf server localhost ca "$here" serverAuth 21000101000000Z
make_leaf expired localhost ca "$here" serverAuth 20210101000000Z
make_leaf elsewhere elsewhere.example ca "DNS:elsewhere.example" serverAuth 21000101000000Z
make_leaf client "a client" ca "DNS:client.example" clientAuth 21000101000000Z
make_leaf stranger "a stranger" other_ca "DNS:stranger.example" clientAuth 21000101000000Z
openssl pkey -in server.key -aes256 -passout pass:secret -out server_encrypted.key
rm ca.key other_ca.key
