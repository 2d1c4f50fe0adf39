// SPDX-License-Identifier: Apache-2.0

package alert

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"
)

// HTTPOptions configure a web server as an output.
type HTTPOptions struct {
	URL       string
	CA        string // file with certificates that the server's may be signed by; "": those of the system
	Cert, Key string // files of the client's certificate; "": none
	Insecure  bool   // whoever answers is the server
	UserAgent string
	Timeout   time.Duration // of one attempt; 0: 5 s
	Retries   int           // after the first attempt; 0: 5, -1: none
	Pause     time.Duration // before the first retry; it doubles each time; 0: 200 ms
}

type httpSink struct {
	opts   HTTPOptions
	client *http.Client
}

// HTTP returns a sink that posts each alert. Attempts that get no answer, or one that
// says that the server is busy or broken, are repeated.
func HTTP(opts HTTPOptions) (Sink, error) {
	u, err := url.Parse(opts.URL)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q is not a URL of a web server (such as https://alerts.example:2801/)", opts.URL)
	}
	if opts.Timeout <= 0 {
		opts.Timeout = 5 * time.Second
	}
	if opts.Retries == 0 {
		opts.Retries = 5
	}
	if opts.Pause <= 0 {
		opts.Pause = 200 * time.Millisecond
	}
	conf := &tls.Config{InsecureSkipVerify: opts.Insecure} // the user asked for it
	if opts.CA != "" {
		pem, err := os.ReadFile(opts.CA)
		if err != nil {
			return nil, err
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate", opts.CA)
		}
	}
	if opts.Cert != "" || opts.Key != "" {
		pair, err := tls.LoadX509KeyPair(opts.Cert, opts.Key)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = conf
	return &httpSink{opts, &http.Client{Transport: transport, Timeout: opts.Timeout}}, nil
}

func (h *httpSink) Name() string { return "http " + h.opts.URL }

func (h *httpSink) Deliver(ctx context.Context, a *Alert) error {
	pause := h.opts.Pause
	for try := 0; ; try++ {
		again, err := h.post(ctx, a)
		if err == nil || !again || try >= h.opts.Retries {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause *= 2
	}
}

// post makes one attempt. It reports whether another makes sense after an error.
func (h *httpSink) post(ctx context.Context, a *Alert) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.opts.URL, bytes.NewReader(a.Line))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	if a.JSON {
		req.Header.Set("Content-Type", "application/json")
	}
	if h.opts.UserAgent != "" {
		req.Header.Set("User-Agent", h.opts.UserAgent)
	}
	resp, err := h.client.Do(req)
	if err != nil {
		var cert *tls.CertificateVerificationError
		return !errors.As(err, &cert), err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 1<<16) // so that the connection is used again
	switch {
	case resp.StatusCode < 300:
		return false, nil
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusTooManyRequests:
		return true, errors.New(resp.Status)
	}
	return false, errors.New(resp.Status)
}

func (h *httpSink) Close() error {
	h.client.CloseIdleConnections()
	return nil
}
