// SPDX-License-Identifier: Apache-2.0

package alert

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// mustCertificate writes a new certificate of a client, signed by itself, and its key.
func mustCertificate(tb testing.TB, name string) (cert, key string, parsed *x509.Certificate) {
	tb.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(tb, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(tb, err)
	parsed, err = x509.ParseCertificate(der)
	require.NoError(tb, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(tb, err)
	cert, key = mustPEM(tb, "CERTIFICATE", der), mustPEM(tb, "PRIVATE KEY", secret)
	return cert, key, parsed
}

func mustPEM(tb testing.TB, kind string, der []byte) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "x.pem")
	require.NoError(tb, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return path
}

func TestCertificatesOfBothSidesAreChecked(t *testing.T) {
	cert, key, client := mustCertificate(t, "scap")
	var got lines
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		_, _ = got.Write([]byte(r.TLS.PeerCertificates[0].Subject.CommonName + ": " + body.String() + "\n"))
	}))
	clients := x509.NewCertPool()
	clients.AddCert(client)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
	server.Config.ErrorLog = nil
	server.StartTLS()
	defer server.Close()
	ca := mustPEM(t, "CERTIFICATE", server.Certificate().Raw)
	otherCert, otherKey, _ := mustCertificate(t, "other")
	for _, c := range []struct {
		what string
		opts HTTPOptions
		ok   bool
	}{
		{"all is right", HTTPOptions{CA: ca, Cert: cert, Key: key}, true},
		{"the server is not checked", HTTPOptions{Insecure: true, Cert: cert, Key: key}, true},
		{"the server is signed by nobody known", HTTPOptions{Cert: cert, Key: key}, false},
		{"the server is signed by another", HTTPOptions{CA: otherCert, Cert: cert, Key: key}, false},
		{"no certificate of the client", HTTPOptions{CA: ca}, false},
		{"a certificate that the server does not know", HTTPOptions{CA: ca, Cert: otherCert, Key: otherKey}, false},
	} {
		c.opts.URL, c.opts.Retries = server.URL, -1
		sink, err := HTTP(c.opts)
		require.NoError(t, err, c.what)
		err = sink.Deliver(t.Context(), someAlert(c.what))
		require.Equal(t, c.ok, err == nil, "%s: %v", c.what, err)
		require.NoError(t, sink.Close())
	}
	require.Equal(t, "scap: all is right\nscap: the server is not checked\n", got.String())
}
