# The Debian package: `cpack` in a release build, as scripts/dist.sh calls it. It holds what `make install`
# installs, the systemd unit, and a configuration that its owner edits and upgrades leave alone.
set(unit ${CMAKE_BINARY_DIR}/relay.service)
file(READ deploy/systemd/relay.service text)
string(REPLACE "/usr/local/bin/" "/usr/bin/" text "${text}")
file(WRITE ${unit} "${text}")

install(FILES ${unit} DESTINATION /lib/systemd/system)
install(FILES relay.example.yaml DESTINATION /etc/relay RENAME relay.yaml)
install(FILES README.md CHANGELOG.md SECURITY.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME relay)
set(CPACK_PACKAGE_CONTACT "Relay's maintainers <maintainers@relay.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Gateway for language models")
set(CPACK_PACKAGE_DESCRIPTION
    "One OpenAI-compatible endpoint over many providers of language models:
keys, limits and budgets, routing by price and speed, fallbacks, a semantic
cache, and a log that prices every request.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${RELAY_DEPS}/usr/lib/${CMAKE_LIBRARY_ARCHITECTURE})
set(CPACK_DEBIAN_PACKAGE_DEPENDS "adduser, ca-certificates")
set(CPACK_DEBIAN_COMPRESSION_TYPE gzip)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
foreach(script postinst prerm postrm conffiles)
    list(APPEND CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_SOURCE_DIR}/deploy/debian/${script})
endforeach()
include(CPack)
