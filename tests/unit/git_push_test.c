/* Pushing: names that are taken, histories that moved, remotes that refuse; and what goes over the
 * wire. */
#include "tests/unit/cmocka_all.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/git_run.h"
#include "tests/unit/patience.h"

static char here[4096], one[64], two[64];

static int
setup(void **state)
{
	if (git_run_setup(state) < 0 || getcwd(here, sizeof(here)) == NULL)
		return -1;
	sh("git init -q -b main clean && cd clean && echo a >a && git add . && git commit -qm base "
	   "&& git clone -q --bare . ../origin.git && "
	   "echo 1 >a && git commit -qam one && echo 2 >a && git commit -qam two");
	(void)snprintf(one, sizeof(one), "%s", sh("git -C clean rev-parse HEAD~1"));
	(void)snprintf(two, sizeof(two), "%s", sh("git -C clean rev-parse HEAD"));
	return 0;
}

static json_t *
request(const char *branch, const char *sha, const char *expected)
{
	json_t *j = json_pack("{s:o, s:o, s:s, s:s, s:b}", "clean_dir",
	    json_sprintf("%s/clean/.git", here), "url", json_sprintf("%s/r.git", here), "branch",
	    branch, "sha", sha, "suffix_on_conflict", 1);

	json_object_set_new(j, "expected", expected != NULL ? json_string(expected) : json_null());
	return j;
}

static int
fresh(void **state)
{
	(void)state;
	sh("rm -rf r.git && cp -r origin.git r.git");
	return 0;
}

static void
new_branch(void **state)
{
	json_t *j;

	(void)state;
	j = awo_ok("push", NULL, request("feat/x-wo-1", one, NULL));
	assert_string_equal(str(j, "branch"), "feat/x-wo-1");
	assert_string_equal(str(j, "sha"), one);
	assert_true(json_is_true(json_object_get(j, "created")));
	json_decref(j);
	assert_string_equal(sh("git -C r.git rev-parse feat/x-wo-1"), one);
	/* the answer was lost, the caller asks again */
	j = awo_ok("push", NULL, request("feat/x-wo-1", one, NULL));
	assert_string_equal(str(j, "branch"), "feat/x-wo-1");
	assert_true(json_is_false(json_object_get(j, "created")));
	json_decref(j);
	j = awo_ok("push", NULL, request("feat/x-wo-1", two, one));
	assert_true(json_is_false(json_object_get(j, "created")));
	json_decref(j);
	assert_string_equal(sh("git -C r.git rev-parse feat/x-wo-1"), two);
	assert_string_equal(sh("git -C clean for-each-ref refs/awo"), "");
}

static void
taken_names(void **state)
{
	json_t *r, *j;

	(void)state;
	sh("git -C r.git branch feat main && git -C r.git branch feat-2 main && git -C r.git "
	   "branch dir/a main");
	j = awo_ok("push", NULL, request("feat", one, NULL));
	assert_string_equal(str(j, "branch"), "feat-3");
	json_decref(j);
	r = request("feat", one, NULL);
	json_object_set_new(r, "suffix_on_conflict", json_false());
	awo_fails("push", NULL, r, "git", "conflict", "was not made by this order");
	/* a directory of branches has the name */
	j = awo_ok("push", NULL, request("dir", one, NULL));
	assert_string_equal(str(j, "branch"), "dir-2");
	json_decref(j);
	awo_fails("push", NULL, request("feat/y", one, NULL), "git", "conflict", "refs/heads/feat");
	awo_fails("push", NULL, request("a..b", one, NULL), "git", "invalid", "a..b");
	awo_fails("push", NULL, request("-x", one, NULL), "git", "invalid", "-x");
	awo_fails("push", NULL, request("x", "1234567890123456789012345678901234567890", NULL),
	    "git", "not_found", "sha");
	assert_string_equal(sh("git -C r.git rev-parse feat"), sh("git -C r.git rev-parse main"));
}

/* Somebody else was there since. */
static void
moved(void **state)
{
	(void)state;
	json_decref(awo_ok("push", NULL, request("b", one, NULL)));
	sh("git clone -q -b b r.git other && cd other && echo theirs >t && git add . && git commit "
	   "-qm theirs && git push -q origin b && "
	   "cd .. && rm -rf other");
	awo_fails("push", NULL, request("b", two, one), "git", "conflict", "changed on the remote");
	assert_string_equal(sh("git -C r.git log -1 --format=%%s b"), "theirs");
	/* even when the caller is told of it: its history is not rewritten */
	awo_fails("push", NULL, request("b", two, sh("git -C r.git rev-parse b")), "git",
	    "conflict", "b");
	sh("git -C r.git branch -qD b");
	awo_fails("push", NULL, request("b", two, one), "git", "conflict", "removed on the remote");
}

/* A work tree's owner finds a new branch, and nothing of what was being worked on touched. */
static json_t *
tree_request(const char *branch, const char *sha, const char *expected)
{
	json_t *r = request(branch, sha, expected);

	json_object_set_new(r, "url", json_sprintf("%s/tree", here));
	return r;
}

static void
no_bare_repository(void **state)
{
	json_t *j;

	(void)state;
	sh("rm -rf tree && git clone -q r.git tree && echo mine >tree/mine && git -C tree checkout "
	   "-q -b busy");
	j = awo_ok("push", NULL, tree_request("x", one, NULL));
	assert_true(json_is_true(json_object_get(j, "created")));
	json_decref(j);
	assert_string_equal(sh("git -C tree rev-parse x"), one);
	json_decref(awo_ok("push", NULL, tree_request("x", two, one)));
	assert_string_equal(sh("git -C tree rev-parse x"), two);
	sh("git -C tree fsck --strict");
	assert_string_equal(sh("git -C tree status --porcelain"), "?? mine");
	awo_fails("push", NULL, tree_request("x", one, two), "git", "conflict", "x");
	awo_fails("push", NULL, tree_request("busy", two, sh("git -C tree rev-parse busy")), "git",
	    "protected", "checked out");
	sh("git -C tree worktree add -q ../second -b elsewhere");
	awo_fails("push", NULL,
	    tree_request("elsewhere", two, sh("git -C tree rev-parse elsewhere")), "git",
	    "protected", "checked out");
	sh("rm -rf second tree");
}

/* ---- over HTTP: git http-backend behind a few lines of Python
 * ----------------------------------------------- */

static pid_t server;

static const char web[] =
    "import http.server, os, subprocess, sys, base64\n"
    "class H(http.server.BaseHTTPRequestHandler):\n"
    "  def log_message(s, *a): pass\n"
    "  def run(s):\n"
    "    path, _, query = s.path.partition('?')\n"
    "    if path.startswith('/moved/'):\n"
    "      s.send_response(301); s.send_header('Location', 'http://localhost:%d%s' % "
    "(s.server.server_port, s.path[6:])); s.end_headers(); return\n"
    "    if path.startswith('/e500/'): s.send_response(503); s.send_header('Content-Length', '0'); "
    "s.end_headers(); return\n"
    "    if path.startswith('/e403/'): s.send_response(403); s.send_header('Content-Length', '0'); "
    "s.end_headers(); return\n"
    "    if path.startswith('/stall/'):\n"
    "      import time; time.sleep(30); return\n"
    "    want = 'Basic ' + base64.b64encode(b'x-access-token:s3cret').decode()\n"
    "    got = s.headers.get('Authorization')\n"
    "    open('auth.log', 'a').write(s.path + ' ' + str(got) + '\\n')\n"
    "    if path.startswith('/private/'):\n"
    "      if got != want:\n"
    "        s.send_response(401); s.send_header('WWW-Authenticate', 'Basic realm=\"x\"'); "
    "s.send_header('Content-Length', '0'); s.end_headers(); return\n"
    "      path = path[8:]\n"
    "    body = b''\n"
    "    if s.headers.get('Transfer-Encoding') == 'chunked':\n"
    "      while True:\n"
    "        n = int(s.rfile.readline(), 16)\n"
    "        body += s.rfile.read(n); s.rfile.readline()\n"
    "        if n == 0: break\n"
    "    else: body = s.rfile.read(int(s.headers.get('Content-Length') or 0))\n"
    "    env = dict(os.environ, GIT_PROJECT_ROOT=os.getcwd(), GIT_HTTP_EXPORT_ALL='1', "
    "PATH_INFO=path, QUERY_STRING=query,\n"
    "      REQUEST_METHOD=s.command, CONTENT_TYPE=s.headers.get('Content-Type') or '', "
    "REMOTE_USER='u', REMOTE_ADDR='::1',\n"
    "      CONTENT_LENGTH=str(len(body)))\n"
    "    if s.headers.get('Content-Encoding'): env['HTTP_CONTENT_ENCODING'] = "
    "s.headers['Content-Encoding']\n"
    "    out = subprocess.run(['git', 'http-backend'], input=body, env=env, "
    "stdout=subprocess.PIPE).stdout\n"
    "    head, _, rest = out.partition(b'\\r\\n\\r\\n')\n"
    "    status = 200\n"
    "    lines = [l.split(': ', 1) for l in head.decode().split('\\r\\n')]\n"
    "    for k, v in lines:\n"
    "      if k == 'Status': status = int(v.split()[0])\n"
    "    s.send_response(status)\n"
    "    for k, v in lines:\n"
    "      if k != 'Status': s.send_header(k, v)\n"
    "    s.send_header('Content-Length', str(len(rest))); s.end_headers(); s.wfile.write(rest)\n"
    "  do_GET = do_POST = run\n"
    "h = http.server.ThreadingHTTPServer(('127.0.0.1', 0), H)\n"
    "open('port.new', 'w').write(str(h.server_port)); os.rename('port.new', 'port')\n"
    "h.serve_forever()\n";

static int
serve(void **state)
{
	int fd = open("web.py", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fresh(state) < 0 || fd < 0 ||
	    write(fd, web, sizeof(web) - 1) != (ssize_t)(sizeof(web) - 1))
		return -1;
	close(fd);
	(void)unlink("port");
	if ((server = fork()) == 0) {
		execlp("python3", "python3", "web.py", (char *)NULL);
		_exit(127);
	}
	sh("git -C r.git config http.receivepack true");
	return sh_status(
		   "for i in $(seq 100); do test -f port && exit 0; sleep 0.1; done; exit 1") == 0
		   ? 0
		   : -1;
}

static int
unserve(void **state)
{
	(void)state;
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	server = 0;
	return 0;
}

static json_t *
web_request(const char *path, const char *secret)
{
	json_t *j = request("web", one, NULL);

	json_object_set_new(j, "url", json_sprintf("http://127.0.0.1:%s%s", sh("cat port"), path));
	if (secret != NULL)
		json_object_set_new(j, "credential",
		    json_pack("{s:s, s:s, s:s}", "kind", "token", "user", "", "secret", secret));
	return j;
}

static void
http(void **state)
{
	json_t *r, *j;

	(void)state;
	j = awo_ok("verify", NULL, web_request("/r.git", NULL));
	assert_string_equal(str(j, "default_branch"), "main");
	json_decref(j);
	r = web_request("/r.git", NULL);
	json_object_set_new(r, "cache_dir", json_sprintf("%s/web-cache.git", here));
	j = awo_ok("fetch", NULL, r);
	assert_true(num(j, "received_bytes") > 0);
	json_decref(j);
	json_decref(awo_ok("push", NULL, web_request("/private/r.git", "s3cret")));
	assert_string_equal(sh("git -C r.git rev-parse web"), one);
}

static void
http_refusals(void **state)
{
	json_t *r;

	(void)state;
	awo_fails("verify", NULL, web_request("/private/r.git", NULL), "git", "auth",
	    "awoctl credential set");
	awo_fails("verify", NULL, web_request("/private/r.git", "wrong-one"), "git", "auth",
	    "the token was refused");
	awo_fails("push", NULL, web_request("/private/r.git", "wrong-one"), "git", "auth",
	    "the token was refused");
	awo_fails("verify", NULL, web_request("/absent.git", NULL), "git", "not_found", "absent");
	awo_fails(
	    "verify", NULL, web_request("/e500/r.git", NULL), "transient", "unreachable", "503");
	awo_fails("verify", NULL, web_request("/e403/r.git", "s3cret"), "git", "auth", "403");
	/* the token stays with the host that it is for */
	sh("rm -f auth.log");
	awo_fails("verify", NULL, web_request("/moved/private/r.git", "s3cret"), "git", "not_found",
	    "redirect");
	assert_int_not_equal(sh_status("grep -q Basic auth.log 2>/dev/null"), 0);
	r = web_request("/stall/r.git", NULL);
	json_object_set_new(r, "timeout_seconds", json_integer(patience(1)));
	awo_fails("verify", NULL, r, "transient", "timeout", "awo-git verify");
}

/* The remote's own words reach the user. */
static void
hooks(void **state)
{
	(void)state;
	sh("printf '#!/bin/sh\\necho GH006: protected branch web >&2\\nexit 1\\n' "
	   ">r.git/hooks/pre-receive && chmod +x r.git/hooks/pre-receive");
	awo_fails("push", NULL, web_request("/r.git", NULL), "git", "protected",
	    "GH006: protected branch web");
	sh("printf '#!/bin/sh\\nexit 1\\n' >r.git/hooks/update && rm r.git/hooks/pre-receive && "
	   "chmod +x r.git/hooks/update");
	awo_fails("push", NULL, web_request("/r.git", NULL), "git", "protected", "hook declined");
}

/* ---- over ssh: a real server, when there is one
 * ------------------------------------------------------------- */

static int
ssh_serve(void **state)
{
	if (fresh(state) < 0)
		return -1;
	if (sh_status("test -x /usr/sbin/sshd && command -v ssh-keygen >/dev/null && id -un >/dev/null 2>&1") != 0)
		return 0;
	sh("rm -rf ssh && mkdir -m 700 ssh && cd ssh && ssh-keygen -q -t ed25519 -N '' -f host && "
	   "ssh-keygen -q -t ecdsa -N '' -f host2 && "
	   "ssh-keygen -q -t ed25519 -N '' -f user && ssh-keygen -q -t rsa -N '' -f rsa && "
	   "ssh-keygen -q -t rsa -m PKCS8 -N '' -f rsa8 && ssh-keygen -q -t ed25519 -N secret -f "
	   "locked && "
	   "ssh-keygen -q -t ed25519 -N '' -f stranger && ssh-keygen -q -t ecdsa -m PEM -N '' -f "
	   "pem && "
	   "cat user.pub pem.pub >authorized && chmod 600 authorized && "
	   "python3 -c 'import socket; s=socket.socket(); s.bind((\"127.0.0.1\",0)); "
	   "print(s.getsockname()[1])' >port && "
	   "printf 'Port %%s\\nListenAddress 127.0.0.1\\nHostKey %%s/host\\nHostKey "
	   "%%s/host2\\nAuthorizedKeysFile %%s/authorized\\n"
	   "StrictModes no\\nUsePAM no\\nPasswordAuthentication no\\nKbdInteractiveAuthentication "
	   "no\\nPidFile none\\n' $(cat port) $PWD $PWD $PWD >config");
	if ((server = fork()) == 0) {
		int null = open("/dev/null", O_RDWR);

		/* its privilege separation directory, when we are root */
		(void)mkdir("/run/sshd", 0755);
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		execl("/usr/sbin/sshd", "/usr/sbin/sshd", "-D", "-f", "ssh/config", (char *)NULL);
		_exit(127);
	}
	return sh_status("for i in $(seq 50); do ssh-keyscan -p $(cat ssh/port) 127.0.0.1 "
			 "2>/dev/null | grep -q . && exit 0; sleep 0.1; done; exit 1") == 0
		   ? 0
		   : -1;
}

static json_t *
ssh_request(const char *key, const char *hosts)
{
	char *user = strdup(sh("id -un"));
	char *port = strdup(sh("cat ssh/port"));
	json_t *j = request("over-ssh", one, NULL);

	json_object_set_new(
	    j, "url", json_sprintf("ssh://%s@127.0.0.1:%s%s/r.git", user, port, here));
	json_object_set_new(j, "credential",
	    json_pack("{s:s, s:s, s:o}", "kind", "ssh_key", "user", "", "secret",
		json_sprintf("%s\n", sh("cat ssh/%s", key))));
	json_object_set_new(j, "known_hosts", json_sprintf("%s\n", sh("%s", hosts)));
	free(user);
	free(port);
	return j;
}

static void
ssh(void **state)
{
	static const char known[] =
	    "printf '[127.0.0.1]:%s ' $(cat ssh/port); cut -d' ' -f1,2 ssh/host.pub";
	static const char known2[] =
	    "printf '[127.0.0.1]:%s ' $(cat ssh/port); cut -d' ' -f1,2 ssh/host2.pub";
	static const char hashed[] =
	    "(printf '[127.0.0.1]:%s ' $(cat ssh/port); cat ssh/host.pub) >ssh/hashed; ssh-keygen "
	    "-q -H -f ssh/hashed >/dev/null; cat ssh/hashed";
	static const char other[] =
	    "printf '[127.0.0.1]:%s ' $(cat ssh/port); cut -d' ' -f1,2 ssh/stranger.pub";
	char print[128];
	json_t *j;

	(void)state;
	if (sh_status("test -f ssh/port") != 0) {
		print_message("SKIPPED: no sshd here, or no account for it to log in\n");
		skip();
	}
	(void)snprintf(
	    print, sizeof(print), "%s", sh("ssh-keygen -lf ssh/host2.pub | cut -d' ' -f2"));
	/* no line for the host: its fingerprint and the line to add */
	awo_fails("verify", NULL, ssh_request("user", "true"), "git", "host_key", print);
	awo_fails(
	    "verify", NULL, ssh_request("user", "true"), "git", "host_key", "git.known_hosts");
	awo_fails("verify", NULL, ssh_request("user", "true"), "git", "host_key", sh("%s", known2));
	awo_fails("verify", NULL, ssh_request("user", other), "git", "host_key", "SHA256:");
	/* either of the server's keys will do, and a hashed name */
	json_decref(awo_ok("verify", NULL, ssh_request("user", known)));
	json_decref(awo_ok("verify", NULL, ssh_request("user", known2)));
	json_decref(awo_ok("verify", NULL, ssh_request("user", hashed)));
	json_decref(awo_ok("verify", NULL, ssh_request("pem", known)));
	awo_fails("verify", NULL, ssh_request("rsa", known), "git", "auth", "RSA");
	awo_fails("verify", NULL, ssh_request("rsa8", known), "git", "auth", "RSA");
	awo_fails("verify", NULL, ssh_request("locked", known), "git", "auth", "passphrase");
	awo_fails("verify", NULL, ssh_request("user.pub", known), "git", "auth", "no private key");
	awo_fails(
	    "verify", NULL, ssh_request("stranger", known), "git", "auth", "ssh key was refused");
	j = ssh_request("user", known);
	json_object_del(j, "credential");
	awo_fails("verify", NULL, j, "git", "auth", "--kind ssh_key");
	j = ssh_request("user", known);
	json_object_set_new(j, "cache_dir", json_sprintf("%s/ssh-cache.git", here));
	json_decref(awo_ok("fetch", NULL, j));
	j = awo_ok("push", NULL, ssh_request("user", known));
	json_decref(j);
	assert_string_equal(sh("git -C r.git rev-parse over-ssh"), one);
	j = ssh_request("user", known);
	json_object_set_new(j, "url", json_sprintf("%s-absent", str(j, "url")));
	awo_fails("verify", NULL, j, "git", "not_found", "absent");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(new_branch, fresh),
	    cmocka_unit_test_setup(taken_names, fresh),
	    cmocka_unit_test_setup(moved, fresh),
	    cmocka_unit_test_setup(no_bare_repository, fresh),
	    cmocka_unit_test_setup_teardown(http, serve, unserve),
	    cmocka_unit_test_setup_teardown(http_refusals, serve, unserve),
	    cmocka_unit_test_setup_teardown(hooks, serve, unserve),
	    cmocka_unit_test_setup_teardown(ssh, ssh_serve, unserve),
	};

	return cmocka_run_group_tests(tests, setup, git_run_teardown);
}
