/* What libgit2's archive wants of libssh2 and of Kerberos, in the program that talks to no other host. */

/*
 * Nothing of this is called: the repositories that awo-git-local is given lie in directories. libgit2 names it all the same,
 * and the libraries behind these names, libcrypto among them, take three quarters of the time in which the program starts.
 */
#define ABSENT(name)                                                                               \
	int name(void);                                                                            \
	int name(void)                                                                             \
	{                                                                                          \
		return -1;                                                                         \
	}

/* the one that is called when libgit2 starts */
int libssh2_init(int flags);

int
libssh2_init(int flags)
{
	(void)flags;
	return 0;
}

int GSS_C_NT_HOSTBASED_SERVICE;

/* clang-format off */
ABSENT(gss_delete_sec_context)
ABSENT(gss_display_status)
ABSENT(gss_import_name)
ABSENT(gss_indicate_mechs)
ABSENT(gss_init_sec_context)
ABSENT(gss_release_buffer)
ABSENT(gss_release_name)
ABSENT(gss_release_oid_set)
ABSENT(libssh2_agent_connect)
ABSENT(libssh2_agent_disconnect)
ABSENT(libssh2_agent_free)
ABSENT(libssh2_agent_get_identity)
ABSENT(libssh2_agent_init)
ABSENT(libssh2_agent_list_identities)
ABSENT(libssh2_agent_userauth)
ABSENT(libssh2_channel_close)
ABSENT(libssh2_channel_eof)
ABSENT(libssh2_channel_free)
ABSENT(libssh2_channel_get_exit_status)
ABSENT(libssh2_channel_open_ex)
ABSENT(libssh2_channel_process_startup)
ABSENT(libssh2_channel_read_ex)
ABSENT(libssh2_channel_set_blocking)
ABSENT(libssh2_channel_wait_closed)
ABSENT(libssh2_channel_write_ex)
ABSENT(libssh2_exit)
ABSENT(libssh2_free)
ABSENT(libssh2_hostkey_hash)
ABSENT(libssh2_knownhost_checkp)
ABSENT(libssh2_knownhost_free)
ABSENT(libssh2_knownhost_init)
ABSENT(libssh2_knownhost_readfile)
ABSENT(libssh2_session_abstract)
ABSENT(libssh2_session_disconnect_ex)
ABSENT(libssh2_session_free)
ABSENT(libssh2_session_handshake)
ABSENT(libssh2_session_hostkey)
ABSENT(libssh2_session_init_ex)
ABSENT(libssh2_session_last_error)
ABSENT(libssh2_session_method_pref)
ABSENT(libssh2_session_methods)
ABSENT(libssh2_session_set_blocking)
ABSENT(libssh2_session_set_timeout)
ABSENT(libssh2_session_supported_algs)
ABSENT(libssh2_userauth_authenticated)
ABSENT(libssh2_userauth_keyboard_interactive_ex)
ABSENT(libssh2_userauth_list)
ABSENT(libssh2_userauth_password_ex)
ABSENT(libssh2_userauth_publickey)
ABSENT(libssh2_userauth_publickey_fromfile_ex)
ABSENT(libssh2_userauth_publickey_frommemory)
/* clang-format on */
